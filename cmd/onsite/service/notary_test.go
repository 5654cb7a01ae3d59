package service

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/audit"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/storetest"
	"onsite/workers/notary"
)

// A witness's folder is read from above and from within, and nothing is made in it; a wrong one is an error where there is a log.
func TestWitnessFolders(t *testing.T) {
	ctx := t.Context()
	s, err := database.Open(ctx, database.Options{SQLite: filepath.Join(t.TempDir(), "s.db")})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Migrate(ctx))
	tenant, empty := storetest.NewTenant(t, s), storetest.NewTenant(t, s)
	storetest.AppendEntries(t, s, tenant, "", 1)
	storetest.SequenceAll(t, s)
	dir, wrong := t.TempDir(), t.TempDir()
	shelf, err := object.NewFolder(dir)
	require.NoError(t, err)
	defer shelf.Close()
	key, err := audit.NewKey(tenant)
	require.NoError(t, err)
	note, err := audit.Sign(audit.Head{Origin: audit.Origin(tenant), Size: 1}, key.Secret)
	require.NoError(t, err)
	require.NoError(t, notary.Shelf{Objects: shelf}.Tell(ctx, results.Checkpoint{Tenant: tenant, Size: 1, Note: note}))
	i := &Inspector{Store: s}
	for _, at := range []string{dir, filepath.Join(dir, "objects")} {
		notes, err := i.Witnesses(ctx, at, tenant)
		require.NoError(t, err)
		require.Equal(t, []string{note}, notes)
	}
	_, err = i.Witnesses(ctx, wrong, tenant)
	require.ErrorContains(t, err, wrong)
	require.ErrorContains(t, err, tenant)
	notes, err := i.Witnesses(ctx, wrong, empty)
	require.NoError(t, err)
	require.Empty(t, notes)
	left, err := os.ReadDir(wrong)
	require.NoError(t, err)
	require.Empty(t, left)
}
