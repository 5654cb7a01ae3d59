package index

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// cut gives the indexes of n shards over the same clips, in different shapes.
func cut(t testing.TB, clips []Clip, n int) []*Index {
	var all []*Index
	for k := range n {
		o := Options{Shard: Shard{k + 1, n}, Tail: []int{1 << 30, 300, 0}[k%3]}
		dir := ""
		if k%2 == 1 {
			dir = t.TempDir()
		}
		x := open(t, dir, o)
		half := len(clips) / 2
		fill(t, x, clips[:half])
		if dir != "" {
			require.NoError(t, x.Snapshot(t.Context(), tenant))
		}
		fill(t, x, clips[half:])
		all = append(all, x)
	}
	return all
}

// overWire asks a shard as another process does.
func overWire(t testing.TB, x *Index, q Query) Part {
	t.Helper()
	ask, err := AppendQuery(nil, q, x.Shard())
	require.NoError(t, err)
	require.LessOrEqual(t, len(ask), MaxAskBytes)
	read, to, err := DecodeQuery(ask)
	require.NoError(t, err)
	require.Equal(t, x.Shard(), to)
	want, err := q.filled()
	require.NoError(t, err)
	require.Equal(t, want, read)
	found, err := x.Part(t.Context(), read)
	require.NoError(t, err)
	raw, err := found.AppendBinary(nil)
	require.NoError(t, err)
	got, err := DecodePart(raw, q, x.Shard())
	require.NoError(t, err)
	require.Equal(t, found, got)
	return got
}

// TestShardsGiveTheSameUnraced: the parts of 1, 2, 3 and 5 shards, from indexes and from scans, make the answer of brute force, whatever is
// asked, also where a picture is like too many only in the sum of the shards.
func TestShardsGiveTheSameUnraced(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	clips := collect(12_000)
	wall := random(r)
	for i := 0; i < len(clips); i += 10 { // 150 clips show it
		h := wall
		flip(r, &h, r.IntN(6))
		clips[i].Frames = append(slices.Clone(clips[i].Frames), Frame{9000, h})
	}
	whole := open(t, "", Options{})
	fill(t, whole, clips)
	found, flooded, onlyInSum, more := 0, 0, 0, 0
	for _, n := range []int{1, 2, 3, 5} {
		shards := cut(t, clips, n)
		held := 0
		for _, x := range shards {
			s, err := x.Stats(tenant)
			require.NoError(t, err)
			require.Less(t, s.Clips, len(clips)*3/2/n+1, "the clips are spread")
			held += s.Clips
		}
		require.Equal(t, len(clips), held)
		for i := range 60 {
			c := &clips[r.IntN(len(clips))]
			radius := MaxRadius - i%8
			q := Query{Tenant: tenant, Frames: like(r, c, r.IntN(radius+3)), Radius: radius, AsOf: Newest, Flood: 1 << 20, Most: 1 << 20}
			q.Frames = append(q.Frames, q.Frames[0]) // asked twice
			for k := range q.Frames {
				q.Frames[k].Forms = append(q.Frames[k].Forms, clips[r.IntN(len(clips))].Frames[0].Hash)
			}
			switch i % 6 {
			case 1:
				q.Subject = c.Subject
			case 2:
				q.Site, q.Subject = c.Site, clips[r.IntN(len(clips))].Subject
			case 3:
				q.Before, q.AsOf = clips[r.IntN(len(clips))].Job, int64(r.IntN(len(clips)))
				q.Since = r.Int64N(q.AsOf + 1)
			case 4:
				q.From, q.Most, q.Flood = clips[r.IntN(len(clips))].Job, 5, 60
			case 5:
				q.Frames[2].Forms[1], q.Most, q.Flood = wall, 3, 1+r.IntN(170)
			}
			want := scan(t, q, clips)
			one, err := whole.Search(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, want, one)
			var parts, scans []Part
			inOne := map[uint32]bool{}
			for _, x := range shards {
				p := overWire(t, x, q)
				for k := range p.frames {
					if p.frames[k].flooded {
						inOne[q.Frames[k].AtMS] = true
					}
				}
				parts = append(parts, p)
				s, err := NewScan(q)
				require.NoError(t, err)
				for k := range clips {
					if x.Shard().Holds(clips[k].Job) {
						s.Clip(&clips[k])
					}
				}
				scans = append(scans, s.Part(x.Shard()))
			}
			require.Equal(t, parts, scans, "what an index finds, and what is read instead of it")
			r.Shuffle(len(parts), func(a, b int) { parts[a], parts[b] = parts[b], parts[a] })
			got, err := Merge(q, parts...)
			require.NoError(t, err)
			require.Equal(t, want, got, "%d shards, query %d", n, i)
			found += len(want.Matches)
			more += want.More
			flooded += len(want.Flooded)
			for _, at := range want.Flooded {
				if !inOne[at] {
					onlyInSum++
				}
			}
		}
	}
	require.Greater(t, found, 500)
	require.Greater(t, more, 100)
	require.Greater(t, flooded, 30)
	require.Greater(t, onlyInSum, 10)
}

// The numbers are promised: processes of different versions ask each other.
func TestShardsAreStable(t *testing.T) {
	for job, want := range map[string]int{"01J8ZQ4T0V3S0X9YB7M2K5N6PA": 2, "01J8ZQ4T0V3S0X9YB7M2K5N6PB": 2, "": 3} {
		require.Equal(t, want, ShardOf(job, 5), job)
		require.Equal(t, 1, ShardOf(job, 1))
	}
	count := make([]int, 7)
	for i := range 7000 {
		n := ShardOf(fmt.Sprintf("01J8ZQ4T0V%016d", i), 7)
		require.True(t, Shard{n, 7}.Holds(fmt.Sprintf("01J8ZQ4T0V%016d", i)))
		count[n-1]++
	}
	require.Greater(t, slices.Min(count), 900)
	for _, text := range []string{"0/3", "4/3", "1/65", "1", "1/", "/2", "a/b", "1/3/5", "01/3", "-1/3", " 1/3"} {
		_, err := ParseShard(text)
		require.ErrorContains(t, err, "such as 1/3", text)
	}
	s, err := ParseShard("64/64")
	require.NoError(t, err)
	require.Equal(t, Shard{64, 64}, s)
	s, err = ParseShard("")
	require.NoError(t, err)
	require.True(t, s.Whole() && s.Holds("any"))
	_, err = Open("", Options{Shard: Shard{3, 2}})
	require.ErrorContains(t, err, "no shard 3 of 2")
}

// Nobody would delete in the snapshots of other shards what is deleted in the store, but for the process that uses them.
func TestSnapshotsOfOtherShardsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	clips := collect(400)
	written := func(s Shard) *Index {
		x, err := Open(dir, Options{Shard: s})
		require.NoError(t, err)
		fill(t, x, clips)
		require.NoError(t, x.Snapshot(t.Context(), tenant))
		return x
	}
	left := func() (all []string) {
		for _, glob := range []string{"*" + suffix, "*/*" + suffix} {
			names, err := filepath.Glob(filepath.Join(dir, glob))
			require.NoError(t, err)
			for _, n := range names {
				all = append(all, filepath.Base(filepath.Dir(n)))
			}
		}
		return all
	}
	require.NoError(t, written(Shard{}).Close())
	require.Equal(t, []string{filepath.Base(dir)}, left())
	one := written(Shard{1, 2})
	require.Equal(t, []string{"1-of-2"}, left(), "that of the whole is gone")
	two := written(Shard{2, 2})
	require.Equal(t, []string{"1-of-2", "2-of-2"}, left(), "one is at work")
	require.NoError(t, one.Close())
	require.NoError(t, two.Close())
	again, err := Open(dir, Options{Shard: Shard{2, 2}})
	require.NoError(t, err)
	upTo, err := again.UpTo(tenant)
	require.NoError(t, err)
	require.Equal(t, clips[len(clips)-1].Seq, upTo, "its own is taken up")
	require.Equal(t, []string{"2-of-2"}, left())
	require.NoError(t, again.Close())
	info, err := os.Stat(filepath.Join(dir, "2-of-2"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.NoError(t, Clear(dir))
	require.Empty(t, left())
}

func TestMergeWantsEveryPartOnce(t *testing.T) {
	clips := collect(800)
	q := Query{Tenant: tenant, Frames: like(rand.New(rand.NewPCG(1, 1)), &clips[3], 4), Radius: 31, AsOf: Newest}
	var parts []Part
	for _, x := range cut(t, clips, 3) {
		parts = append(parts, overWire(t, x, q))
	}
	other := overWire(t, cut(t, clips, 2)[0], q)
	for _, bad := range [][]Part{nil, parts[:2], {parts[0], parts[1], parts[1]}, {parts[0], parts[1], other}, {other}, {{}}} {
		_, err := Merge(q, bad...)
		require.ErrorIs(t, err, ErrPart)
	}
	_, err := Merge(q, parts...)
	require.NoError(t, err)
	_, err = Merge(Query{}, parts...)
	require.ErrorContains(t, err, "tenant")
	full := parts[slices.IndexFunc(parts, func(p Part) bool { return len(p.clips) > 0 })]
	from := full.Shard()
	raw, err := full.AppendBinary(nil)
	require.NoError(t, err)
	for what, bad := range map[string]struct {
		q    Query
		from Shard
	}{
		"shard": {q, Shard{from.K%3 + 1, 3}}, "pictures": {Query{Tenant: tenant, AsOf: Newest}, from}, "not asked for": {func() Query { p := q; p.Before = "0"; return p }(), from},
	} {
		_, err := DecodePart(raw, bad.q, bad.from)
		require.ErrorIs(t, err, ErrPart, what)
		require.ErrorContains(t, err, what)
	}
	for n := range raw {
		_, err := DecodePart(raw[:n], q, from)
		require.ErrorIs(t, err, ErrPart)
	}
	_, err = DecodePart(append(slices.Clone(raw), 0), q, from)
	require.ErrorIs(t, err, ErrPart)
	raw[len(partMagic)]++
	_, err = DecodePart(raw, q, from)
	require.ErrorContains(t, err, "version 2, want 1")
}

// FuzzDecodePart gives the reader of answers outside bytes. What it takes can be merged, and is written as it was.
func FuzzDecodePart(f *testing.F) {
	clips := collect(160)
	q := Query{Tenant: tenant, Frames: like(rand.New(rand.NewPCG(1, 1)), &clips[3], 4), Radius: 31, AsOf: Newest, Flood: 30}
	for _, s := range []Shard{{}, {2, 2}} {
		x := open(f, "", Options{Shard: s})
		require.NoError(f, x.Add(f.Context(), tenant, clips, 1))
		for _, flood := range []int{1, 30} {
			q.Flood = flood
			p, err := x.Part(f.Context(), q)
			require.NoError(f, err)
			raw, err := p.AppendBinary(nil)
			require.NoError(f, err)
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range []Shard{{}, {2, 2}} {
			p, err := DecodePart(b, q, s)
			if err != nil {
				require.ErrorIs(t, err, ErrPart)
				continue
			}
			again, err := p.AppendBinary(nil)
			require.NoError(t, err)
			back, err := DecodePart(again, q, s)
			require.NoError(t, err)
			require.Equal(t, p, back)
			if s.Whole() {
				_, err = Merge(q, p)
				require.NoError(t, err)
			}
		}
	})
}

// FuzzDecodeQuery gives the reader of questions outside bytes. What it takes can be asked.
func FuzzDecodeQuery(f *testing.F) {
	clips := collect(160)
	x := open(f, "", Options{})
	require.NoError(f, x.Add(f.Context(), tenant, clips, 1))
	for _, q := range []Query{
		{Tenant: tenant, AsOf: Newest}, {Tenant: "t2", Frames: like(rand.New(rand.NewPCG(1, 1)), &clips[3], 4), Radius: 31, AsOf: 7, Since: 3, Before: "b", From: "a", Subject: "s", Site: "p"},
	} {
		raw, err := AppendQuery(nil, q, Shard{2, 3})
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, to, err := DecodeQuery(b)
		if err != nil {
			return
		}
		raw, err := AppendQuery(nil, q, to)
		require.NoError(t, err)
		again, _, err := DecodeQuery(raw)
		require.NoError(t, err)
		require.Equal(t, q, again)
		_, err = x.Part(t.Context(), q)
		require.NoError(t, err)
	})
}
