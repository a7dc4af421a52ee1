// One server of a measured cluster of hashicorp/raft, in a process of its own. It takes the same command line and the
// same jobs as ../../server.ts: a plan as JSON in its first argument, then a job per line on standard input, each
// answered with a line of JSON on standard output.
//
// go.mod builds it against the newest version, old.mod (go build -modfile=old.mod) against v1.1.2.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// How long a command or a check of the leadership may take.
const callTimeout = 10 * time.Second

type plan struct {
	ID      string            `json:"id"`
	Dir     string            `json:"dir"`
	Servers map[string]string `json:"servers"`
	// Memory runs all servers in this process, on the library's in-memory transport and stores.
	Memory bool `json:"memory"`
}

type job struct {
	Job   string `json:"job"`
	Shape shape  `json:"shape"`
	Bytes int    `json:"bytes"`
	Reads bool   `json:"reads"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("cannot start: pass the plan as JSON")
	}
	var p plan
	if err := json.Unmarshal([]byte(os.Args[1]), &p); err != nil {
		return fmt.Errorf("cannot read the plan: %w", err)
	}
	servers, err := start(p)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	answers := json.NewEncoder(os.Stdout)
	if err := answers.Encode(map[string]any{"started": true}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var j job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			return fmt.Errorf("cannot read a job: %w", err)
		}
		if j.Job == "stop" {
			break
		}
		if err := answers.Encode(answer(leaderOf(servers), j)); err != nil {
			return err
		}
	}
	for _, server := range servers {
		server.Shutdown().Error()
	}
	return lines.Err()
}

// leaderOf is the only server of this process, or the one that leads among those on memory parts.
func leaderOf(servers []*raft.Raft) *raft.Raft {
	for _, server := range servers {
		if server.State() == raft.Leader {
			return server
		}
	}
	return servers[0]
}

func answer(server *raft.Raft, j job) any {
	switch j.Job {
	case "role":
		role := "follower"
		if server.State() == raft.Leader {
			role = "leader"
		}
		return map[string]any{"role": role, "applied": server.AppliedIndex()}
	case "cpu":
		return map[string]any{"cpuMs": cpuMs()}
	case "try":
		accepted := server.State() == raft.Leader && server.Apply([]byte{66}, callTimeout).Error() == nil
		return map[string]any{"accepted": accepted}
	case "load":
		command := make([]byte, j.Bytes)
		if j.Reads {
			return load(j.Shape, func() error { return server.VerifyLeader().Error() })
		}
		return load(j.Shape, func() error { return server.Apply(command, callTimeout).Error() })
	default:
		return map[string]any{"error": "there is no job " + j.Job}
	}
}

// cpuMs is the time that this process spent on processors, in user and in system mode.
func cpuMs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return (usage.Utime.Nano() + usage.Stime.Nano()) / int64(time.Millisecond)
}
