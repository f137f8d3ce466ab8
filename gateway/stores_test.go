package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/fault"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

const townBackup = "/v1/stores/town:backUp"

// What a browser or curl is sent is the file, with its size and digest said before.
func TestDownload(t *testing.T) {
	x := newWatched(t)
	x.create("140525-casting")
	x.create("140521-silk")
	res, body := x.do(http.MethodGet, townBackup, "", header{"Authorization", "Bearer token of auditor"}, header{"Accept-Encoding", "gzip"})
	sum := sha256.Sum256([]byte(body))
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/octet-stream" || res.Header.Get("Content-Encoding") != "" ||
		res.ContentLength != int64(len(body)) || res.Header.Get("Content-Disposition") != `attachment; filename="town-2.backup"` ||
		res.Header.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		t.Errorf("got %d %v, %d bytes", res.StatusCode, res.Header, len(body))
	}
	held, err := backup.Check(strings.NewReader(body))
	if err != nil || held.Service != "town" || held.Head.GetRevision() != 2 {
		t.Errorf("got %v, %v", held, err)
	}
	var file bytes.Buffer
	if _, err := backup.Write(t.Context(), &file, x.db); err != nil || file.String() != body {
		t.Errorf("the file is another than the store's own backup: %v", err)
	}
}

func TestDownloadRefused(t *testing.T) {
	x := newWatched(t)
	for _, test := range []struct {
		name, method, path, token string
		status                    int
		reason                    string
	}{
		{"nobody known", http.MethodGet, townBackup, "guess", http.StatusUnauthorized, "UNAUTHENTICATED"},
		{"no such service", http.MethodGet, "/v1/stores/weather:backUp", "token of auditor", http.StatusNotFound, "RESOURCE_NOT_FOUND"},
		{"a parameter that there is not", http.MethodGet, townBackup + "?since=1", "token of auditor", http.StatusBadRequest, "UNKNOWN_PARAMETER"},
		{"only the head of it", http.MethodHead, townBackup, "token of auditor", http.StatusMethodNotAllowed, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, body := x.do(test.method, test.path, "", header{"Authorization", "Bearer " + test.token})
			var p problem
			if test.method != http.MethodHead {
				if err := json.Unmarshal([]byte(body), &p); err != nil {
					t.Fatalf("%v in %s", err, body)
				}
			}
			if res.StatusCode != test.status || p.Reason != test.reason || res.Header.Get("Content-Disposition") != "" {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
		})
	}
	x.fakes["fund"].on("BackUpStore", refusing(fault.New(codes.ResourceExhausted, maintenancev1.Reason_REASON_BACKUP_UNDER_WAY, "忙", "busy")))
	if res, body := x.do(http.MethodGet, "/v1/stores/fund:backUp", ""); res.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "BACKUP_UNDER_WAY") {
		t.Errorf("a second one: got %d %s", res.StatusCode, body)
	}
}

// A file that does not come to its end is not taken for a whole one.
func TestDownloadCutShort(t *testing.T) {
	var lines strings.Builder
	e := newEdge(t, func(o *Options) { o.Logger = slog.New(slog.NewJSONHandler(&lines, nil)) })
	e.fakes["town"].on("BackUpStore", always(&maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_File{
		File: &maintenancev1.BackupFile{Store: "stores/town", SizeBytes: 10},
	}}))
	res, err := http.Get(e.url + townBackup)
	if err == nil {
		defer res.Body.Close()
		var text []byte
		text, err = io.ReadAll(res.Body)
		if err == nil {
			t.Fatalf("took %d %q for the whole of it", res.StatusCode, text)
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	e.server.Close()
	if !strings.Contains(lines.String(), townBackup) {
		t.Errorf("the log says nothing of it:\n%s", &lines)
	}
}
