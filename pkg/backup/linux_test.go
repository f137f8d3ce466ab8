package backup_test

import (
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/fault"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

// TestNoRoom puts a backup aside on a small file system, which only root can make.
func TestNoRoom(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system to fill: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	}()
	raw := openBolt(t)
	heavy(t, raw)
	server := backup.NewServer(openJournal(raw), folder)
	_, _, ended := begin(t, server)
	if err := <-ended; status.Code(err) != codes.ResourceExhausted || !fault.Is(err, maintenancev1.Reason_REASON_NO_ROOM_FOR_BACKUP) {
		t.Errorf("it ended with %v", err)
	}
	eventually(t, "the place is free", func() bool { return !server.Busy() })
	nothingLeft(t, folder)
	var free syscall.Statfs_t
	if err := syscall.Statfs(folder, &free); err != nil || free.Bfree < free.Blocks*9/10 {
		t.Errorf("of %d blocks %d are free, %v", free.Blocks, free.Bfree, err)
	}
}
