package main

import (
	"sort"
	"sync"
	"time"
)

// shape is how much load, for how long: ../../load.ts says the same in TypeScript.
type shape struct {
	InFlight  int     `json:"inFlight"`
	WarmUpMs  float64 `json:"warmUpMs"`
	MeasureMs float64 `json:"measureMs"`
}

type result struct {
	InFlight  int   `json:"inFlight"`
	PerSecond int64 `json:"perSecond"`
	Calls     int   `json:"calls"`
	AllCalls  int   `json:"allCalls"`
	Failed    int   `json:"failed"`
	P50Us     int64 `json:"p50Us"`
	P99Us     int64 `json:"p99Us"`
	P999Us    int64 `json:"p999Us"`
}

// No more samples than this are kept, over all callers.
const samplesMax = 2_000_000

// How long a caller waits after a failed call, so that failures do not take the processor from the rest.
const failurePause = time.Millisecond

type caller struct {
	samples []time.Duration
	all     int
	failed  int
	lastAt  time.Time
}

// load is a closed loop: so many callers, each of which calls again when its call is done.
func load(s shape, call func() error) result {
	callers := make([]caller, max(1, s.InFlight))
	beginsAt := time.Now().Add(milliseconds(s.WarmUpMs))
	endsAt := beginsAt.Add(milliseconds(s.MeasureMs))
	var group sync.WaitGroup
	for i := range callers {
		group.Add(1)
		go func(c *caller) {
			defer group.Done()
			c.run(call, beginsAt, endsAt, samplesMax/len(callers))
		}(&callers[i])
	}
	group.Wait()
	return resultOf(s, callers, beginsAt)
}

func (c *caller) run(call func() error, beginsAt, endsAt time.Time, samplesMax int) {
	for len(c.samples) < samplesMax {
		from := time.Now()
		if !from.Before(endsAt) {
			return
		}
		if call() != nil {
			c.failed++
			time.Sleep(failurePause)
			continue
		}
		c.all++
		if from.Before(beginsAt) {
			continue
		}
		c.lastAt = time.Now()
		c.samples = append(c.samples, c.lastAt.Sub(from))
	}
}

func resultOf(s shape, callers []caller, beginsAt time.Time) result {
	r := result{InFlight: s.InFlight}
	var samples []time.Duration
	lastAt := beginsAt
	for _, c := range callers {
		samples = append(samples, c.samples...)
		r.AllCalls += c.all
		r.Failed += c.failed
		if c.lastAt.After(lastAt) {
			lastAt = c.lastAt
		}
	}
	r.Calls = len(samples)
	if r.Calls == 0 {
		return r
	}
	sort.Slice(samples, func(i, j int) bool { return samples[i] < samples[j] })
	at := func(share float64) int64 {
		return samples[min(len(samples)-1, int(float64(len(samples))*share))].Microseconds()
	}
	r.PerSecond = int64(float64(r.Calls)/lastAt.Sub(beginsAt).Seconds() + 0.5)
	r.P50Us, r.P99Us, r.P999Us = at(0.5), at(0.99), at(0.999)
	return r
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
