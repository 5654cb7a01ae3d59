package index

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const tenant = "t1"

func open(t testing.TB, dir string, o Options) *Index {
	t.Helper()
	x, err := Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

func collect(n int) []Clip { return slices.Collect(Synthetic(7, n)) }

func fill(t testing.TB, x *Index, clips []Clip) {
	t.Helper()
	require.NoError(t, x.Add(context.Background(), tenant, clips, clips[len(clips)-1].Seq))
}

// like asks for a clip's own frames, some bits off, and for something that nobody has.
func like(r *rand.Rand, c *Clip, bits int) []Asked {
	var all []Asked
	for _, f := range c.Frames {
		h, other := f.Hash, random(r)
		flip(r, &h, bits)
		all = append(all, Asked{f.AtMS, []Hash{h, other}})
	}
	return all
}

// scan is brute force: what Search must give.
func scan(t testing.TB, q Query, clips []Clip) Result {
	t.Helper()
	s, err := NewScan(q)
	require.NoError(t, err)
	for i := range clips {
		s.Clip(&clips[i])
	}
	return s.Result()
}

// forms are indexes that hold the same clips in different shapes.
func forms(t testing.TB, clips []Clip) map[string]*Index {
	tail := open(t, "", Options{Tail: 1 << 30})
	fill(t, tail, clips)
	steps := open(t, "", Options{Tail: 300})
	for part := range slices.Chunk(clips, 100) {
		fill(t, steps, part)
	}
	mapped := open(t, t.TempDir(), Options{})
	half := len(clips) / 2
	fill(t, mapped, clips[:half])
	require.NoError(t, mapped.Snapshot(t.Context(), tenant))
	fill(t, mapped, clips[half:])
	whole := open(t, t.TempDir(), Options{})
	fill(t, whole, clips)
	require.NoError(t, whole.Snapshot(t.Context(), tenant))
	return map[string]*Index{"tail": tail, "steps": steps, "mapped and tail": mapped, "mapped": whole}
}

// TestSearchIsExactUnraced compares with brute force: every radius, every shape of the index, scopes and bounds.
func TestSearchIsExactUnraced(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	clips := collect(20_000) // enough for tables
	all := forms(t, clips)
	found := 0
	for n := range 160 {
		c := &clips[r.IntN(len(clips))]
		radius := n % (MaxRadius + 1)
		q := Query{Tenant: tenant, Frames: like(r, c, r.IntN(radius+3)), Radius: radius, AsOf: Newest, Flood: 1 << 20, Most: 1 << 20}
		switch n % 5 {
		case 1:
			q.Subject = c.Subject
		case 2:
			q.Site, q.Subject = c.Site, clips[r.IntN(len(clips))].Subject
		case 3:
			q.Before, q.AsOf = clips[r.IntN(len(clips))].Job, int64(r.IntN(len(clips)))
			q.Since = r.Int64N(q.AsOf + 1)
		case 4:
			q.From, q.Most, q.Flood = clips[r.IntN(len(clips))].Job, 5, 60
		}
		want := scan(t, q, clips)
		for _, m := range want.Matches {
			found += m.Frames
		}
		for name, x := range all {
			got, err := x.Search(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s, query %d", name, n)
		}
	}
	require.Greater(t, found, 500)
}

// TestTablesAreExactUnraced tests the scheme of large segments, and chunks that lie across words, on data that is small for it.
func TestTablesAreExactUnraced(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	clips := collect(6_000)
	tail := newTail(tenant)
	for i := range clips {
		tail.add(&clips[i])
	}
	for _, s := range []scheme{{16, 16}, {fineChunks, minWidth}} {
		plan := newPlan(tenant, 1, []*segment{tail})
		plan.scheme = s
		made, err := plan.inMemory()
		require.NoError(t, err)
		var x scratch
		for n := range 200 {
			q, radius := tail.hash[r.IntN(tail.hashes)], n%(MaxRadius+1)
			flip(r, &q, r.IntN(32))
			got, want := map[Hash]int{}, map[Hash]int{}
			tail.near(&q, radius, &x, func(id uint32, d int) bool { want[tail.hash[id]]++; return true })
			made.near(&q, radius, &x, func(id uint32, d int) bool {
				require.Equal(t, d, q.Distance(&made.hash[id]))
				got[made.hash[id]]++
				return true
			})
			require.Equal(t, want, got, "%v, radius %d", s, radius)
		}
	}
}

// TestReachUnraced holds the bound for every scheme and radius: wherever r bits differ, some chunk is in reach.
func TestReachUnraced(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, s := range []scheme{{16, 16}, {fineChunks, minWidth}, {fineChunks, 21}, {fineChunks, 22}, {fineChunks, maxWidth}} {
		require.True(t, s.valid())
		for radius := range MaxRadius + 1 {
			for range 60 {
				a := random(r)
				b := a
				bits := r.Perm(256)
				if r.IntN(2) == 0 { // spread over chunks as evenly as can be: the hardest case
					slices.SortFunc(bits, func(x, y int) int { return x%s.width*s.chunks + x/s.width - y%s.width*s.chunks - y/s.width })
				}
				for _, bit := range bits[:radius] {
					b[bit>>6] ^= 1 << (bit & 63)
				}
				ok := false
				for c := range s.chunks {
					require.LessOrEqual(t, s.reach(radius, c), 2)
					ok = ok || popcount(s.chunk(&a, c)^s.chunk(&b, c)) <= s.reach(radius, c)
				}
				require.True(t, ok, "%v, radius %d", s, radius)
			}
		}
	}
	for w := 16; w <= maxWidth; w++ {
		require.Len(t, patterns[w].all, 1+w+w*(w-1)/2)
	}
}

func TestFloodedPicturesSayNothing(t *testing.T) {
	wall, mine := Hash{1, 2, 3, 4}, Hash{^uint64(0), 5, 6, 7}
	var clips []Clip
	for i := range 30 {
		c := Clip{Job: fmt.Sprintf("j%02d", i), Seq: int64(i + 1), Frames: []Frame{{0, wall}}}
		if i == 12 {
			c.Frames = append(c.Frames, Frame{500, mine})
		}
		clips = append(clips, c)
	}
	x := open(t, "", Options{})
	fill(t, x, clips)
	q := Query{Tenant: tenant, Frames: []Asked{{100, []Hash{wall}}, {200, []Hash{mine}}, {300, []Hash{wall}}}, Radius: 31, AsOf: Newest, Flood: 29}
	got, err := x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, Result{Asked: 2, Flooded: []uint32{100}, Matches: []Match{{Job: "j12", Seq: 13, Frames: 1, AtMS: 200, TheirMS: 500}}}, got)

	q.Before = "j20" // the guard counts what the query may see, so that its answer does not change with time
	got, err = x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Empty(t, got.Flooded)
	require.Len(t, got.Matches, 20)
	require.Equal(t, "j12", got.Matches[0].Job, "more pictures in common")
	require.Equal(t, 2, got.Matches[0].Frames)

	q.Most = 3
	got, err = x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, 17, got.More)
	require.Equal(t, []string{"j12", "j00", "j01"}, []string{got.Matches[0].Job, got.Matches[1].Job, got.Matches[2].Job})
}

func TestRemovedClipsAreGone(t *testing.T) {
	dir := t.TempDir()
	clips := collect(12_000)
	x := open(t, dir, Options{Tail: 500})
	fill(t, x, clips[:1000])
	require.NoError(t, x.Snapshot(t.Context(), tenant))
	fill(t, x, clips[1000:])
	victim := clips[17]
	secret := clips[1200].Frames[3].Hash
	n, err := x.Remove(tenant, victim.Job, clips[1200].Job, "nobody")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = x.Remove(tenant, victim.Job)
	require.NoError(t, err)
	require.Zero(t, n, "it is gone already")
	n, err = x.RemoveIf(tenant, func(job string, seq int64) bool { return seq%7 == 0 && job > clips[30].Job })
	require.NoError(t, err)
	require.Positive(t, n)

	left := slices.DeleteFunc(slices.Clone(clips), func(c Clip) bool {
		return c.Job == victim.Job || c.Job == clips[1200].Job || c.Seq%7 == 0 && c.Job > clips[30].Job
	})
	same := func(x *Index) {
		t.Helper()
		for _, c := range []Clip{victim, clips[1200], clips[40], clips[41]} {
			q := Query{Tenant: tenant, Radius: 31, AsOf: Newest}
			for _, f := range c.Frames {
				q.Frames = append(q.Frames, Asked{f.AtMS, []Hash{f.Hash}})
			}
			got, err := x.Search(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, scan(t, q, left), got)
		}
	}
	same(x)
	raw := func() string {
		b, err := os.ReadFile(pathOf(dir, tenant))
		require.NoError(t, err)
		return string(b)
	}
	secrets := []string{string(rawOf([]Hash{victim.Frames[0].Hash})), string(rawOf([]Hash{victim.Frames[7].Hash}))}
	require.Equal(t, 1, strings.Count(raw(), secrets[0]), "the file is as it was")
	secrets = append(secrets, string(rawOf([]Hash{secret})))
	before, err := x.Stats(tenant)
	require.NoError(t, err)
	require.Positive(t, before.DeadClips)
	require.NoError(t, x.Snapshot(t.Context(), tenant))
	same(x)
	after, err := x.Stats(tenant)
	require.NoError(t, err)
	require.Zero(t, after.DeadClips)
	require.Equal(t, len(left), after.Clips)
	require.Equal(t, 1, after.Segments)
	for _, hidden := range secrets {
		require.Zero(t, strings.Count(raw(), hidden), "nothing of it is in the new file")
	}

	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrBusy)
	require.NoError(t, x.Close())
	again := open(t, dir, Options{}) // as after a restart
	same(again)
	upTo, err := again.UpTo(tenant)
	require.NoError(t, err)
	require.Equal(t, clips[len(clips)-1].Seq, upTo)
	require.NoError(t, again.Add(t.Context(), tenant, []Clip{victim}, 0), "what was removed may come again")
	st, err := again.Stats(tenant)
	require.NoError(t, err)
	require.Equal(t, len(left)+1, st.Clips)
}

func TestAddIsIdempotent(t *testing.T) {
	x := open(t, "", Options{Tail: 50})
	clips := collect(2000)
	fill(t, x, clips)
	fill(t, x, clips[:100])
	fill(t, x, clips)
	s, err := x.Stats(tenant)
	require.NoError(t, err)
	require.Equal(t, len(clips), s.Clips)
	require.Equal(t, 2000, s.Hashes)
}

func TestTenantsAreApart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[old] a*b?") // no pattern
	require.NoError(t, os.Mkdir(dir, 0o700))
	x := open(t, dir, Options{})
	fill(t, x, collect(100))
	other := Clip{Job: "other", Seq: 1, Frames: []Frame{{0, Hash{9}}}}
	require.NoError(t, x.Add(t.Context(), "t2", []Clip{other}, 1))
	require.NoError(t, x.Snapshot(t.Context(), "t2"))
	q := Query{Tenant: tenant, Frames: []Asked{{0, []Hash{{9}}}}, AsOf: Newest}
	got, err := x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Empty(t, got.Matches)
	q.Tenant = "t2"
	got, err = x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, got.Matches, 1)

	require.NoError(t, os.Rename(pathOf(dir, "t2"), pathOf(dir, "t3")))
	q.Tenant = "t3"
	got, err = x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Empty(t, got.Matches, "a file in another tenant's place is not used")
	require.NoError(t, x.Drop("t2"))
	require.Equal(t, []string{tenant, "t3"}, x.Tenants())

	require.NoError(t, Clear(dir))
	left, err := fs.Glob(os.DirFS(dir), "*"+suffix)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, Clear(filepath.Join(dir, "nowhere")))
}

// A tenant whose snapshot cannot be deleted stays dropped, so that the old one is not opened again.
func TestDropKeepsTheTenantUntilItsFileIsGone(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir, Options{})
	clip := Clip{Job: "job", Seq: 1, Frames: []Frame{{0, Hash{9}}}}
	require.NoError(t, x.Add(t.Context(), "t2", []Clip{clip}, 1))
	require.NoError(t, x.Snapshot(t.Context(), "t2"))
	path := pathOf(dir, "t2")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.MkdirAll(filepath.Join(path, "held"), 0o700)) // what cannot be deleted
	require.Error(t, x.Drop("t2"))
	require.Equal(t, []string{"t2"}, x.Tenants())
	q := Query{Tenant: "t2", Frames: []Asked{{0, []Hash{{9}}}}, AsOf: Newest}
	_, err := x.Search(t.Context(), q)
	require.ErrorIs(t, err, ErrDropped)
	require.ErrorIs(t, x.Add(t.Context(), "t2", []Clip{clip}, 1), ErrDropped)
	require.ErrorIs(t, x.Snapshot(t.Context(), "t2"), ErrDropped)

	require.NoError(t, os.RemoveAll(path))
	require.NoError(t, x.Drop("t2"))
	require.Empty(t, x.Tenants())
	require.NoError(t, x.Add(t.Context(), "t2", []Clip{clip}, 1))
	got, err := x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, got.Matches, 1)
}

// TestAtTheSameTime adds, removes, looks and writes snapshots side by side.
func TestAtTheSameTime(t *testing.T) {
	x := open(t, t.TempDir(), Options{Tail: 200})
	clips := collect(16_000)
	var all sync.WaitGroup
	for k := range 2 {
		all.Go(func() {
			for part := range slices.Chunk(clips[k*1000:k*1000+1000], 20) {
				require.NoError(t, x.Add(t.Context(), tenant, part, 1))
			}
		})
	}
	all.Go(func() {
		for range 10 {
			require.NoError(t, x.Snapshot(t.Context(), tenant))
		}
	})
	removed := clips[:200]
	all.Go(func() {
		for _, c := range removed {
			for n := 0; n == 0; { // it may not be there yet
				var err error
				n, err = x.Remove(tenant, c.Job)
				require.NoError(t, err)
			}
		}
	})
	r := rand.New(rand.NewPCG(8, 9))
	q := Query{Tenant: tenant, Radius: 31, AsOf: Newest, Frames: like(r, &clips[500], 5)}
	for range 50 {
		_, err := x.Search(t.Context(), q)
		require.NoError(t, err)
	}
	all.Wait()
	got, err := x.Search(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, scan(t, q, clips[200:2000]), got)
	require.NoError(t, x.Snapshot(t.Context(), tenant))
	s, err := x.Stats(tenant)
	require.NoError(t, err)
	require.Equal(t, 1800, s.Clips)
	require.Zero(t, s.DeadClips)
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	x := open(t, "", Options{})
	one := []Asked{{0, []Hash{{}}}}
	for want, q := range map[string]Query{
		"tenant":  {Frames: one},
		"radius":  {Tenant: tenant, Frames: one, Radius: 32},
		"forms":   {Tenant: tenant, Frames: []Asked{{}}},
		"limits":  {Tenant: tenant, Frames: one, Flood: -1},
		"too man": {Tenant: tenant, Frames: make([]Asked, maxAsked+1)},
	} {
		_, err := x.Search(t.Context(), q)
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, x.Add(t.Context(), tenant, []Clip{{Job: "j"}}, 1), "position")
	require.ErrorContains(t, x.Add(t.Context(), tenant, []Clip{{Seq: 1}}, 1), "job")
	require.ErrorContains(t, x.Add(t.Context(), "", nil, 1), "tenant")
	y, err := Open("", Options{})
	require.NoError(t, err)
	require.NoError(t, y.Close())
	_, err = y.Search(t.Context(), Query{Tenant: tenant})
	require.ErrorIs(t, err, ErrClosed)
}

func TestDamagedSnapshotsAreNotUsed(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir, Options{})
	fill(t, x, collect(400))
	require.NoError(t, x.Snapshot(t.Context(), tenant))
	path := pathOf(dir, tenant)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, at := range []int{0, 9, 20, 60, headSize, headSize + 32*400 + 3, len(good) / 2, len(good) - 1} {
		bad := slices.Clone(good)
		bad[at] ^= 0x10
		other := filepath.Join(t.TempDir(), "x")
		require.NoError(t, os.WriteFile(other, bad, 0o600))
		if _, err := openFile(other, tenant); at < headSize || err != nil { // between sections lie zeros that nobody reads
			require.ErrorIs(t, err, ErrFormat, "byte %d", at)
		}
	}
	for _, n := range []int{0, 1, headSize, len(good) - 1} {
		other := filepath.Join(t.TempDir(), "x")
		require.NoError(t, os.WriteFile(other, good[:n], 0o600))
		_, err := openFile(other, tenant)
		require.ErrorIs(t, err, ErrFormat, "%d bytes", n)
	}
	require.NoError(t, os.WriteFile(pathOf(dir, "t9"), good[:len(good)-1], 0o600))
	upTo, err := x.UpTo("t9")
	require.NoError(t, err)
	require.Zero(t, upTo, "the index begins anew")
}

// FuzzParse gives the reader outside bytes, without the checksums that would keep most of them out. What it takes can be used.
func FuzzParse(f *testing.F) {
	for _, n := range []int{0, 1, 40} {
		t := newTail(tenant)
		for _, c := range collect(n) {
			t.add(&c)
		}
		for _, s := range []scheme{{}, {16, 16}} {
			plan := newPlan(tenant, 3, []*segment{t})
			if plan.scheme = s; s.chunks > 0 {
				continue // megabytes: mutations would hardly hit
			}
			made, err := plan.inMemory()
			require.NoError(f, err)
			f.Add(made.raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		block := newBlock(len(b))
		copy(block.b, b)
		s, err := parse(block.b, false)
		if err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		p := newPartition(tenant, "", 100)
		p.base = s
		for _, q := range []Query{{Subject: "a", Before: "b"}, {AsOf: Newest}} {
			q.Frames, q.Radius, q.Flood, q.Most = []Asked{{0, []Hash{{}}}}, MaxRadius, 10, 10
			err := p.look(t.Context(), &q, new(scratch), func(*gather, func(uint64) Clip) {})
			require.NoError(t, err)
		}
		p.remove([]string{"a"})
		require.NoError(t, p.snapshot(t.Context()))
	})
}
