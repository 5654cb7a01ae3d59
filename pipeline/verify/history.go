package verify

import (
	"context"
	"fmt"
	"slices"

	"onsite/pipeline/reuse"
)

// earlier gives what the reuse check compares with.
func (r *run) earlier(ctx context.Context) ([]reuse.Candidate, error) {
	known, ok := r.History.(reuse.Known)
	if !ok {
		return r.read(ctx)
	}
	return Earlier(ctx, known, &r.print)
}

// Earlier gives what a fingerprint is compared with of a history that holds its fingerprints read; footage with the same bytes that lies
// outside of its scope comes first.
func Earlier(ctx context.Context, known reuse.Known, print *reuse.Fingerprint) ([]reuse.Candidate, error) {
	candidates, err := known.Candidates(ctx)
	if err != nil {
		return nil, err
	}
	if wide, ok := known.(reuse.Wide); ok {
		more, err := wide.Alike(ctx, print, candidates)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, more...)
	}
	twin, ok, err := known.Twin(ctx, print.SHA256, print.PacketsSHA256)
	if err != nil || !ok || slices.ContainsFunc(candidates, func(c reuse.Candidate) bool { return c.Job == twin.Job }) {
		return candidates, err
	}
	return append([]reuse.Candidate{twin}, candidates...), nil
}

// read reads the fingerprints of a history that gives their bytes.
func (r *run) read(ctx context.Context) ([]reuse.Candidate, error) {
	earlier, err := r.History.Earlier(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]reuse.Candidate, 0, len(earlier))
	for _, e := range earlier {
		f, err := reuse.Read(e.Fingerprint)
		if err != nil {
			return nil, fmt.Errorf("read the fingerprint of earlier footage %s: %w", e.Job, err)
		}
		out = append(out, reuse.Candidate{Job: e.Job, SHA256: e.SHA256, Fingerprint: f})
	}
	return out, nil
}
