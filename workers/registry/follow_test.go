package registry

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/object"
)

// slowObjects gives nothing before the process gave signs of life.
type slowObjects struct {
	object.Store
	heard <-chan results.ModelHost
}

func (s slowObjects) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	for range 3 {
		select {
		case <-s.heard:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Store.Get(ctx, key)
}

// listened tells what processes say of themselves.
type listened struct {
	Store
	heard chan results.ModelHost
}

func (l listened) HostModels(ctx context.Context, h results.ModelHost) error {
	err := l.Store.HostModels(ctx, h)
	select {
	case l.heard <- h:
	default:
	}
	return err
}

// A process that needs long to load a model counts as live all the time.
func TestBeatsWhileStaging(t *testing.T) {
	w := newWorld(t)
	p := w.process("one")
	require.NoError(t, p.follow.Once(t.Context()))
	m := w.add(false)
	e := w.propose(results.Epoch{}.Promoted(m, nil), 0)
	heard := make(chan results.ModelHost)
	p.follow.Store, p.follow.every = listened{w.store, heard}, time.Millisecond
	p.Files.Objects = slowObjects{w.objects, heard}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, p.follow.Once(ctx))
	require.Equal(t, e.Number, w.active())
}
