package workers

import (
	"context"
	"log/slog"
	"time"

	"onsite/results"
)

// SequencerStore is what the sequencer needs of the results store.
type SequencerStore interface {
	Elector
	Sequence(ctx context.Context, n int) (map[string]int64, error)
}

// Sequencer gives committed verdicts their positions in the tenants' feeds, in the order in which they became visible. One process at a
// time plays it. From its position on, a fingerprint is compared with by every worker.
type Sequencer struct {
	Store SequencerStore
	Bell  Bell // nil: poll only
	Name  string

	Poll time.Duration // 100 ms
	Gap  time.Duration // between two batches, so that one takes many verdicts; 20 ms
	TTL  time.Duration // of the role; 2 s

	Logger *slog.Logger
}

// maxSequence bounds one transaction.
const maxSequence = 1000

// Run sequences until ctx ends.
func (s *Sequencer) Run(ctx context.Context) error {
	poll, gap, log := s.Poll, s.Gap, logger(s.Logger)
	fill(&poll, 100*time.Millisecond)
	fill(&gap, 20*time.Millisecond)
	r := NewRole(s.Store, "sequencer", s.Name, s.TTL, log)
	defer r.Resign()
	ear := listen(ctx, s.Bell, results.BellVerdict)
	failing := false
	for {
		if r.Play(ctx) {
			limited, cancel := context.WithTimeout(ctx, 2*patience)
			positions, err := s.Store.Sequence(limited, maxSequence)
			cancel()
			switch {
			case err != nil && !failing && ctx.Err() == nil:
				log.Warn("verdicts wait for their positions", "error", err)
			case err == nil && failing:
				log.Info("verdicts get their positions again")
			}
			failing = err != nil
			if len(positions) > 0 && s.Bell != nil {
				s.Bell.Ring(ctx, results.BellFeed)
			}
		}
		wait, wake := poll, ear
		if failing {
			wait, wake = 10*poll, nil // a bell that rings all the time must not make it a busy loop
		}
		if !pause(ctx, gap) || !sleep(ctx, max(0, wait-gap), wake) {
			return nil
		}
	}
}
