package api

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/media"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
)

func TestReferencesThatCannotBeUsed(t *testing.T) {
	for _, cause := range []error{&media.Refusal{Rule: "media_truncated", Name: "anna.jpg"}, object.ErrNotFound, errors.New("no face in anna.jpg")} {
		err := coreFault(fmt.Errorf("look: %w", &verify.ReferenceError{Name: "anna.jpg", Err: cause}))
		p := fault(err)
		require.Equal(t, string(codeReference), p.Code)
		require.Equal(t, 422, p.Status)
		require.NotContains(t, p.Error(), "anna")
	}
	away := fault(coreFault(&verify.ReferenceError{Name: "anna.jpg", Err: results.ErrAway}))
	require.Equal(t, string(codeAway), away.Code)
	require.NotContains(t, away.Error(), "anna")

	d := newDesk(t)
	d.consent("e1")
	d.core.err = &verify.ReferenceError{Name: "anna.jpg", Err: &media.Refusal{Rule: "media_truncated", Name: "anna.jpg"}}
	d.photos("e1", "face of ann").problem(422, codeReference)
	require.NotContains(t, d.logs.String(), "anna")
	require.Contains(t, d.logs.String(), "media_truncated")
	d.tidy(0)
}
