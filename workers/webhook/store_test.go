package webhook

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/vault"
)

// The same with the real outbox and the real vault: sent, logged, replayed by hand, disabled when gone.
func TestWithTheStore(t *testing.T) {
	dir := t.TempDir()
	store, err := database.Open(t.Context(), database.Options{SQLite: filepath.Join(dir, "onsite.db")})
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.Migrate(t.Context()))
	folder, err := object.NewFolder(filepath.Join(dir, "objects"))
	require.NoError(t, err)
	kek, err := vault.NewKEK(filepath.Join(dir, "kek"))
	require.NoError(t, err)
	v := vault.New(store, folder, kek)
	require.NoError(t, store.CreateTenant(t.Context(), results.Tenant{ID: "t", Settings: results.Settings{PrivateTarget: true}, CreatedAt: store.Now()}))
	url, got := receiver(t, 200, 200, 410)
	keys, err := results.NewSigningKeys(store.Now())
	require.NoError(t, err)
	raw, err := keys.Marshal()
	require.NoError(t, err)
	sealed, err := v.SealConfig(t.Context(), "t", results.SigningRecord("e"), raw)
	require.NoError(t, err)
	_, err = store.PutEndpoint(t.Context(), results.Endpoint{ID: "e", Tenant: "t", URL: url, Keys: sealed}, 0, results.AuditEntry{})
	require.NoError(t, err)
	deliver := func(message string) {
		require.NoError(t, store.Deliver(t.Context(), results.Delivery{Tenant: "t", Endpoint: "e", Message: message, Type: results.EventTest, Payload: []byte(`{}`)}))
	}
	deliver("m1")

	s := New(Options{Store: store, Vault: v, Worker: "w", Poll: 5 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	state := func(want results.DeliveryState, attempts int) {
		t.Helper()
		require.Eventually(t, func() bool {
			all, err := store.Deliveries(t.Context(), "t", "e", results.Page{Limit: 10})
			return err == nil && len(all) > 0 && all[0].State == want && len(got()) == attempts
		}, time.Minute, 5*time.Millisecond)
	}
	state(results.Delivered, 1)
	h, e := checked(t, got()[0], keys.Signers[0].Secret, keys.Signers[0].Public())
	require.True(t, h && e)
	require.NoError(t, store.Replay(t.Context(), "t", "m1.e"))
	state(results.Delivered, 2)
	require.Equal(t, got()[0].header.Get("webhook-id"), got()[1].header.Get("webhook-id"))
	log, err := store.DeliveryTries(t.Context(), "t", "m1.e")
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, []int{200, 1}, []int{log[1].Status, log[1].Attempt}, "from the start of the schedule")

	deliver("m2")
	state(results.Failed, 3)
	require.Eventually(t, func() bool {
		e, err := store.Endpoint(t.Context(), "t", "e")
		return err == nil && e.Why == "gone"
	}, time.Minute, 5*time.Millisecond)
	require.ErrorIs(t, store.Replay(t.Context(), "t", "m2.e"), results.ErrConflict)
}
