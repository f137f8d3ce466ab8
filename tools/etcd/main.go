// Command etcd is an etcd server, built from its module, for tests that run against real members and kill them. It takes
// the flags of etcd.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
