package workers

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

// changed is a typed error of another room.
type changed struct{}

func (changed) Error() string { return "the upload was changed" }
func (changed) Judgement() Judgement {
	return Judgement{Action: Refuse, Rule: "upload_changed", Text: pipeline.Text{EN: "it was changed", ZH: "已更改"}}
}

func TestJudge(t *testing.T) {
	refusal := &media.Refusal{Rule: "media_truncated", Text: pipeline.Text{EN: "cut off", ZH: "不完整"}}
	crashed := &media.Refusal{Rule: "decoder_crashed", Text: pipeline.Text{EN: "crashed", ZH: "崩溃"}}
	for name, c := range map[string]struct {
		err    error
		action Action
		rule   string
		count  bool
		alarm  bool
	}{
		"refused media":                 {refusal, Refuse, "media_truncated", false, false},
		"refused by the policy":         {&verify.PolicyError{Rule: "media_kind", Text: pipeline.Text{EN: "a", ZH: "b"}}, Refuse, "media_kind", false, false},
		"decoder killed":                {crashed, Retry, "decoder_crashed", true, false},
		"decoder broken":                {fmt.Errorf("x: %w", media.ErrDecoder), Retry, RuleDecoder, false, true},
		"provider not there":            {&models.ProviderError{Provider: models.CUDA, Why: "no GPU"}, Hold, RuleModels, false, true},
		"models being loaded":           {&models.NotReadyError{Why: "being loaded"}, Retry, RuleLoading, false, false},
		"model missing":                 {&models.MissingError{Task: "face_embed", Err: errors.New("no file")}, Hold, RuleModels, false, true},
		"model changed":                 {&models.ChecksumError{Task: "face_embed"}, Hold, RuleModels, false, true},
		"store away":                    {results.ErrAway, Retry, RuleStore, false, false},
		"objects away":                  {object.ErrAway, Retry, RuleObjects, false, false},
		"disk full":                     {object.ErrNoSpace, Retry, RuleSpace, false, true},
		"objects refuse us":             {object.ErrDenied, Retry, RuleDenied, false, true},
		"no bucket":                     {object.ErrNoBucket, Retry, RuleDenied, false, true},
		"another's bucket refuses us":   {fmt.Errorf("%w: %w", object.ErrForeign, object.ErrDenied), Retry, RuleDenied, true, true},
		"another's bucket is not there": {fmt.Errorf("%w: %w", object.ErrForeign, object.ErrNoBucket), Retry, RuleDenied, true, true},
		"another's bucket is away":      {fmt.Errorf("%w: %w", object.ErrForeign, object.ErrAway), Retry, RuleObjects, false, false},
		"forged":                        {vault.ErrForged, GiveUp, RuleForged, false, true},
		"subject erased":                {results.ErrErased, Refuse, RuleErased, false, false},
		"media gone":                    {object.ErrNotFound, GiveUp, RuleGone, false, false},
		"reference photo":               {&verify.ReferenceError{Name: "anna.jpg", Err: refusal}, Retry, RuleReference, true, false},
		"reference photo gone":          {&verify.ReferenceError{Name: "anna.jpg", Err: object.ErrNotFound}, Retry, RuleReference, true, false},
		"reference, store away":         {&verify.ReferenceError{Name: "anna.jpg", Err: results.ErrAway}, Retry, RuleStore, false, false},
		"crash":                         {&crash{value: "boom"}, Retry, RuleCrashed, true, false},
		"too slow":                      {errTimeout, Retry, RuleTimeout, true, false},
		"some deadline":                 {context.DeadlineExceeded, Retry, RuleTimeout, true, false},
		"drained":                       {errDrained, Return, RuleDrained, false, false},
		"lease lost":                    {errLost, Drop, "", false, false},
		"stale":                         {results.ErrStale, Drop, "", false, false},
		"an error with its own mind":    {changed{}, Refuse, "upload_changed", false, false},
		"anything else":                 {errors.New("hm"), Retry, RuleFailed, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := Judge(fmt.Errorf("run job: %w", c.err))
			require.Equal(t, c.action, v.Action)
			require.Equal(t, c.rule, v.Rule)
			require.Equal(t, c.count, v.Count)
			require.Equal(t, c.alarm, v.Alarm)
			if v.Action != Drop {
				require.NotEmpty(t, v.Text.EN)
				require.NotEmpty(t, v.Text.ZH)
			}
		})
	}
	require.True(t, Judge(&verify.ReferenceError{Name: "anna.jpg", Err: refusal}).Private, "its text has the name of a person's file")
}

func TestSettle(t *testing.T) {
	schedule := []time.Duration{time.Second, 5 * time.Second}
	about := func(want, got time.Duration) {
		t.Helper()
		require.InDelta(t, want.Seconds(), got.Seconds(), want.Seconds()/5+1e-9)
	}
	counted := Judge(errors.New("x"))
	for failures, want := range schedule {
		action, delay := settle(counted, results.Job{Failures: failures}, schedule)
		require.Equal(t, Retry, action)
		about(want, delay)
	}
	action, _ := settle(counted, results.Job{Failures: 2}, schedule)
	require.Equal(t, GiveUp, action)

	twice := Judge(&media.Refusal{Rule: "decoder_crashed"})
	action, _ = settle(twice, results.Job{Failures: 1}, DefaultBackoff)
	require.Equal(t, Retry, action)
	action, _ = settle(twice, results.Job{Failures: 2}, DefaultBackoff)
	require.Equal(t, Refuse, action, "media that crashes the decoder again and again is refused")

	away := Judge(results.ErrAway)
	for _, c := range []struct {
		job  results.Job
		want time.Duration
	}{
		{results.Job{Attempt: 1}, time.Second},
		{results.Job{Attempt: 3}, 4 * time.Second},
		{results.Job{Attempt: 8, Failures: 3, Crashes: 4}, time.Second},
		{results.Job{Attempt: 500}, maxAway},
	} {
		action, delay := settle(away, c.job, schedule)
		require.Equal(t, Retry, action, "it is tried for as long as it takes")
		about(c.want, delay)
	}
	for _, err := range []error{&models.MissingError{Err: errors.New("x")}, errDrained, errLost} {
		v := Judge(err)
		action, delay := settle(v, results.Job{}, schedule)
		require.Equal(t, v.Action, action)
		require.Zero(t, delay)
	}
	require.Zero(t, jitter(0))
}

func TestWhatAllJobsNeed(t *testing.T) {
	for _, err := range []error{&models.NotReadyError{}, results.ErrAway, object.ErrAway, object.ErrNoSpace, object.ErrDenied, media.ErrDecoder} {
		require.True(t, Judge(err).Shared, err)
	}
	for _, err := range []error{fmt.Errorf("%w: %w", object.ErrForeign, object.ErrAway), object.ErrNotFound, errTimeout, errors.New("hm")} {
		require.False(t, Judge(err).Shared, err)
	}
}

func TestEveryRuleHasWords(t *testing.T) {
	for rule, text := range texts {
		require.NotEmpty(t, text.EN, rule)
		require.NotEmpty(t, text.ZH, rule)
	}
}
