// gofail puts the fail points of the crash tests into a copy of the code.
module github.com/yizhen/yizhen/tools/gofail

go 1.26.0

tool go.etcd.io/gofail

require go.etcd.io/gofail v0.2.0 // indirect
