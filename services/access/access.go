// Package access keeps who may call the suite, and what for: principals, the keys of systems, roles, and the bindings that
// give a role to a principal for a place and a time. The other services follow its journal and decide by that; here
// things are entered, taken back and explained.
//
// The files:
//
//	server.go        what a server consists of: its tables and how it is registered
//	lifecycle.go     the lives of principals, keys and bindings, as tables
//	faults.go        the errors of this service, each made in one place
//	principals.go, api_keys.go, roles.go, bindings.go
//	                 the methods, one file a resource
//	explain.go       on which binding a call would rest, and what speaks against each
//
// No secret is kept: of a key its digest, of a person how the identity provider knows them, of a system the name in its
// certificate. Each leads to one principal only, which the indexes see to.
package access
