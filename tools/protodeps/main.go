// Protodeps writes the .proto files that our own protos import, and that are
// not ours, to a directory: google/api, google/type, google/rpc, buf/validate.
//
// They are printed from the descriptors that their generated Go packages carry,
// so the module checksums pin them, no registry of protos has to be reachable,
// and nobody's source text lies in our tree. The well-known google/protobuf
// files are left out, since every compiler brings them.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	// The files that a proto of ours may import. A new import needs a line here.
	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	_ "google.golang.org/genproto/googleapis/api/httpbody"
	_ "google.golang.org/genproto/googleapis/api/visibility"
	_ "google.golang.org/genproto/googleapis/rpc/code"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	_ "google.golang.org/genproto/googleapis/type/date"
	_ "google.golang.org/genproto/googleapis/type/decimal"
	_ "google.golang.org/genproto/googleapis/type/interval"
	_ "google.golang.org/genproto/googleapis/type/latlng"
	_ "google.golang.org/genproto/googleapis/type/localized_text"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: protodeps DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "protodeps:", err)
		os.Exit(1)
	}
}

// write makes the directory hold the printed files and no other .proto file.
// A file that already has the right text is not touched, so that its time
// stays and a run beside another one never sees a half-written file.
func write(dir string) error {
	printer := &protoprint.Printer{}
	keep := map[string]bool{}
	var errs []error
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(file.Path(), "google/protobuf/") {
			return true
		}
		var text bytes.Buffer
		if err := printer.PrintProtoFile(file, &text); err != nil {
			errs = append(errs, fmt.Errorf("print %s: %w", file.Path(), err))
			return true
		}
		path := filepath.Join(dir, filepath.FromSlash(file.Path()))
		keep[path] = true
		if err := writeIfChanged(path, text.Bytes()); err != nil {
			errs = append(errs, err)
		}
		return true
	})
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || keep[path] || filepath.Ext(path) != ".proto" {
			return err
		}
		return os.Remove(path)
	})
}

func writeIfChanged(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".protodeps-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
