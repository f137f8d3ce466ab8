package journal

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Notary makes checkpoints of a journal for as long as it is served.
type Notary struct {
	DB     *DB
	Signer *Signer
	// Every is how often it looks whether there is something new to sign.
	Every time.Duration
	// Logger is told when a checkpoint cannot be made; the next one covers it.
	Logger *slog.Logger
}

// Run signs the head from time to time, if it has moved, until the context ends, and then a last time.
func (n *Notary) Run(ctx context.Context) error {
	tick := time.NewTicker(n.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := n.DB.Checkpoint(ctx, n.Signer); err != nil && !errors.Is(err, context.Canceled) {
				n.Logger.Error("no checkpoint was made", "error", err)
			}
		case <-ctx.Done():
			_, err := n.DB.Checkpoint(context.WithoutCancel(ctx), n.Signer)
			return err
		}
	}
}
