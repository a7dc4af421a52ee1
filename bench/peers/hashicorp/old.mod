module github.com/securecollc/raft/bench/peers/hashicorp

go 1.21

require (
	github.com/hashicorp/raft v1.1.2
	github.com/hashicorp/raft-boltdb/v2 v2.2.0
)

require (
	github.com/armon/go-metrics v0.0.0-20190430140413-ec5e00d3c878 // indirect
	github.com/boltdb/bolt v1.3.1 // indirect
	github.com/hashicorp/go-hclog v0.9.1 // indirect
	github.com/hashicorp/go-immutable-radix v1.0.0 // indirect
	github.com/hashicorp/go-msgpack v0.5.5 // indirect
	github.com/hashicorp/golang-lru v0.5.0 // indirect
	go.etcd.io/bbolt v1.3.5 // indirect
	golang.org/x/sys v0.0.0-20200202164722-d101bd2416d5 // indirect
)
