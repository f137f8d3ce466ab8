package backup

import (
	"errors"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/fault"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// retryDelay is when a caller who found another backup under way may try again.
const retryDelay = 10 * time.Second

// seen makes of what came of a backup the fault that its caller sees; it leaves other errors alone.
func seen(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(codes.ResourceExhausted, maintenancev1.Reason_REASON_NO_ROOM_FOR_BACKUP,
			"暂存备份的目录空间不足，未留下任何内容；请释放空间，或为服务另设目录（--backup-folder）",
			"the backup does not fit where the service puts it aside, and nothing of it is left: free some room, or give the service another folder (--backup-folder)")
	case errors.Is(err, ErrUnfinished):
		return fault.New(codes.FailedPrecondition, maintenancev1.Reason_REASON_RESTORE_UNFINISHED,
			"存储正在从备份恢复，尚不完整，无法备份", "the store is being made of a backup and is not whole: there is nothing to back up yet")
	}
	return err
}

func underWay() error {
	return fault.New(codes.ResourceExhausted, maintenancev1.Reason_REASON_BACKUP_UNDER_WAY,
		"该服务正在进行另一个备份；请待其完成后再试", "the service is making another backup: try again when it is done", fault.RetryAfter(retryDelay))
}

func notTaken() error {
	return fault.New(codes.ResourceExhausted, maintenancev1.Reason_REASON_BACKUP_NOT_TAKEN,
		"备份内容长时间未被接收；请重新开始", "what was sent of the backup was not taken: begin anew")
}

func stopping() error {
	return fault.New(codes.Unavailable, typev1.Reason_REASON_SHUTTING_DOWN,
		"服务正在停止；请稍后重新开始备份", "the server is stopping: begin the backup anew later")
}
