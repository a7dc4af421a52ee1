package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// Entries kept in memory before the log store, as Consul and Nomad do: without it every append is read from the
// database again.
const logCacheEntries = 512

const snapshotsKept = 2

// start starts the server of this process, or, on memory parts, all of the cluster.
func start(p plan) ([]*raft.Raft, error) {
	if p.Memory {
		return startMemory(p)
	}
	server, err := startDurable(p)
	return []*raft.Raft{server}, err
}

func startDurable(p plan) (*raft.Raft, error) {
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return nil, err
	}
	// It calls fsync at every write: that is its default.
	store, err := raftboltdb.NewBoltStore(filepath.Join(p.Dir, "raft.db"))
	if err != nil {
		return nil, err
	}
	logs, err := raft.NewLogCache(logCacheEntries, store)
	if err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStore(p.Dir, snapshotsKept, io.Discard)
	if err != nil {
		return nil, err
	}
	address := p.Servers[p.ID]
	advertised, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the server %q has no address: %w", p.ID, err)
	}
	transport, err := raft.NewTCPTransport(address, advertised, 3, callTimeout, io.Discard)
	if err != nil {
		return nil, err
	}
	exists, err := raft.HasExistingState(logs, store, snapshots)
	if err != nil {
		return nil, err
	}
	server, err := raft.NewRaft(configOf(p.ID), &counter{}, logs, store, snapshots, transport)
	if err != nil || exists {
		return server, err
	}
	return server, server.BootstrapCluster(clusterOf(p.Servers)).Error()
}

func startMemory(p plan) ([]*raft.Raft, error) {
	ids := make([]string, 0, len(p.Servers))
	addresses := make(map[string]string)
	transports := make(map[string]*raft.InmemTransport)
	for id := range p.Servers {
		address, transport := raft.NewInmemTransport(raft.ServerAddress(id))
		ids = append(ids, id)
		addresses[id] = string(address)
		transports[id] = transport
	}
	sort.Strings(ids)
	for _, from := range ids {
		for _, to := range ids {
			if from != to {
				transports[from].Connect(raft.ServerAddress(addresses[to]), transports[to])
			}
		}
	}
	servers := make([]*raft.Raft, 0, len(ids))
	for _, id := range ids {
		store := raft.NewInmemStore()
		server, err := raft.NewRaft(configOf(id), &counter{}, store, store, raft.NewInmemSnapshotStore(), transports[id])
		if err != nil {
			return nil, err
		}
		if err := server.BootstrapCluster(clusterOf(addresses)).Error(); err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, waitForLeader(servers)
}

func waitForLeader(servers []*raft.Raft) error {
	for tries := 0; tries < 1000; tries++ {
		if leaderOf(servers).State() == raft.Leader {
			return leaderOf(servers).Barrier(callTimeout).Error()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("no leader was elected within 10 s")
}

// configOf is the default configuration, silenced.
func configOf(id string) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(id)
	config.LogOutput = io.Discard
	return config
}

func clusterOf(addresses map[string]string) raft.Configuration {
	var configuration raft.Configuration
	for id, address := range addresses {
		server := raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(address)}
		configuration.Servers = append(configuration.Servers, server)
	}
	sort.Slice(configuration.Servers, func(i, j int) bool {
		return configuration.Servers[i].ID < configuration.Servers[j].ID
	})
	return configuration
}

// counter counts commands, as the machine of ../../machine.ts does.
type counter struct{ count uint64 }

func (c *counter) Apply(*raft.Log) any {
	c.count++
	return c.count
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return &counted{c.count}, nil }

func (c *counter) Restore(from io.ReadCloser) error {
	defer from.Close()
	_, err := fmt.Fscan(from, &c.count)
	return err
}

type counted struct{ count uint64 }

func (c *counted) Persist(sink raft.SnapshotSink) error {
	if _, err := fmt.Fprintln(sink, c.count); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (c *counted) Release() {}
