package registry

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/storetest"
)

// What was spent asks for rest, and rests add up.
func TestShadowBudget(t *testing.T) {
	s := NewShadow(nil, nil, nil)
	require.LessOrEqual(t, s.rests(), time.Duration(0))
	s.spend(time.Minute, 0.5)
	s.spend(time.Minute, 0.01)
	require.InDelta(t, (time.Minute + 99*time.Minute).Seconds(), s.rests().Seconds(), 30, "no bound makes more of the budget")
}

// A job of the past that a candidate ran on alone is tried once more when others belong to it, and not again.
func TestPastJobsOfASet(t *testing.T) {
	w := newWorld(t)
	p := w.process("one")
	k := &Keeper{Host: p.Host, Store: w.store}
	storetest.NewSubject(t, w.store, "t", "e1")
	job := storetest.Accept(t, w.store, "t", "e1").ID
	storetest.Queue(t, w.store, job)
	storetest.Finish(t, w.store, storetest.Claim(t, w.store, job))
	for detail, want := range map[string][2]int{ // how many are left: alone, with b
		`{}`:                           {0, 1},
		`{"with": {"b": ""}}`:          {1, 0},
		`{"with": {"b": "", "c": ""}}`: {1, 1},
	} {
		require.NoError(t, w.store.PutShadowRun(t.Context(), results.ShadowRun{Model: "a", Job: job, Tenant: "t", Subject: "e1", Detail: json.RawMessage(detail)}))
		for i, with := range []map[string]string{nil, {"other": "b"}} {
			left, err := k.listPast(t.Context(), results.EpochTrial{Model: "a", Task: "one", With: with, Past: 5})
			require.NoError(t, err)
			require.Len(t, left, want[i], detail)
		}
	}
}

// A promotion that cannot go on says why, and only after some rounds; when it goes on it does no longer.
func TestPromotionSaysWhatFails(t *testing.T) {
	k, p, broken := &Keeper{}, &results.Promotion{ID: "p"}, errors.New("the disk is full")
	for range sayAfter - 1 {
		require.ErrorIs(t, k.note(p, broken), broken)
		require.Nil(t, p.Why)
	}
	require.NoError(t, k.note(p, broken))
	require.Contains(t, p.Why.Text.EN, "the disk is full")
	require.NoError(t, k.note(p, nil))
	require.Nil(t, p.Why)
}

// A promotion waits for another change and says so; a rollback of something else does not end it; a cancelled one is not staged again.
func TestKeeperGoesOn(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	one := w.process("one")
	k := &Keeper{Host: one.Host, Store: w.store, Name: "one", Log: one.Log}
	m := w.add(false)
	p := results.Promotion{ID: storetest.NewID(), Model: m.ID, Task: m.Task, State: results.PromotionEmbedding, Created: w.store.Now()}
	require.NoError(t, w.store.BeginPromotion(ctx, p, results.AuditEntry{}))
	state := func() results.Promotion {
		got, err := w.store.Promotion(ctx, p.ID)
		require.NoError(t, err)
		return got
	}
	w.propose(results.Epoch{}, 0)
	require.NoError(t, k.Once(ctx))
	require.Equal(t, ruleWaits, state().Why.Rule, "another change is staged")
	back, err := w.store.ProposeEpoch(ctx, results.Epoch{}, 0, results.StepOvertaking, results.AuditEntry{})
	require.NoError(t, err)
	require.NoError(t, k.Once(ctx))
	staged := state()
	require.Equal(t, results.PromotionStaging, staged.State)
	require.Nil(t, staged.Why)
	_, err = w.store.ProposeEpoch(ctx, results.Epoch{}, back.Number, results.StepOvertaking, results.AuditEntry{})
	require.NoError(t, err)
	require.NoError(t, k.Once(ctx))
	require.Equal(t, results.PromotionEmbedding, state().State, "overtaken")
	require.NoError(t, k.Once(ctx))
	require.Greater(t, state().Epoch, staged.Epoch, "once more")
	require.NoError(t, w.store.DropEpoch(ctx, state().Epoch, results.Because(results.RuleCancelled, "no", "否"), results.AuditEntry{}))
	require.NoError(t, k.Once(ctx))
	require.Equal(t, results.PromotionCancelled, state().State)
}
