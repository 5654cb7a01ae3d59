package vault_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

var _ vault.Keys = results.Store(nil)
var _ pipeline.Media = vault.Media{}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func TestRoundTrip(t *testing.T) {
	b := newBench(t)
	for _, n := range []int{0, 1, 100, 64<<10 - 57, 64<<10 - 16, 64 << 10, 64<<10 + 1, 300_000, 5 << 20} {
		plain := noise(n)
		s, err := b.Put(t.Context(), "t", "e1", iotest.HalfReader(bytes.NewReader(plain)))
		require.NoError(t, err)
		sum := sha256.Sum256(plain)
		require.Equal(t, hex.EncodeToString(sum[:]), s.SHA256)
		require.EqualValues(t, n, s.Bytes)
		require.Regexp(t, `^t/e1/[0-9A-Z]{26}$`, s.Key)
		require.Contains(t, b.store.left(), s.Key, "noted until a row names it")
		if n >= 100 {
			require.NotContains(t, string(b.objects.get(s.Key)), string(plain[:32]))
		}
		f, err := b.other().Open(t.Context(), s.Key)
		require.NoError(t, err, n)
		got, err := io.ReadAll(f)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got), n)
		require.NoError(t, f.Close())

		got, err = b.Read(t.Context(), s.Key, int64(n))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got), n)
		if n > 0 {
			_, err = b.Read(t.Context(), s.Key, int64(n-1))
			require.ErrorIs(t, err, vault.ErrLong)
		}
		var out bytes.Buffer
		copied, err := b.Copy(t.Context(), &out, s.Key)
		require.NoError(t, err)
		require.EqualValues(t, n, copied)
		require.True(t, bytes.Equal(plain, out.Bytes()), n)
	}
}

// The plain bytes are in memory only, and nobody can change them under the reader's hands.
func TestOpenIsSealed(t *testing.T) {
	b := newBench(t)
	s := b.put(t, "t", "e1", []byte("plain"))
	m := vault.Media{Vault: b.Vault, Key: s.Key, Label: "clip.mp4"}
	require.Equal(t, "clip.mp4", m.Name())
	f, err := m.Open(t.Context())
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, unix.EPERM)
	require.Error(t, f.Truncate(1))
	require.Error(t, f.Truncate(100))
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)
	at, err := f.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	require.Zero(t, at)
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(int(f.Fd()), &st))
	require.EqualValues(t, 0, st.Nlink, "it has no name in any file system")
}

// forged says that nothing of an object can be read.
func forged(t *testing.T, b bench, key, what string) {
	t.Helper()
	f, err := b.Open(t.Context(), key)
	require.ErrorIs(t, err, vault.ErrForged, what)
	require.Nil(t, f)
	require.NotErrorIs(t, err, object.ErrAway, what)
	_, err = b.Read(t.Context(), key, 1<<30)
	require.ErrorIs(t, err, vault.ErrForged, what)
	_, err = b.Copy(t.Context(), io.Discard, key)
	require.ErrorIs(t, err, vault.ErrForged, what)
}

func TestForgedObjects(t *testing.T) {
	const segment = 64 << 10
	b := newBench(t)
	s := b.put(t, "t", "e1", noise(3*segment+100))
	sealed := b.objects.get(s.Key)
	t.Run("changed", func(t *testing.T) {
		for _, at := range []int{0, 1, 20, 39, 40, 100, segment - 1, segment, segment + 1, 2 * segment, len(sealed) - 17, len(sealed) - 16, len(sealed) - 1} {
			bad := bytes.Clone(sealed)
			bad[at] ^= 1
			b.objects.set(s.Key, bad)
			forged(t, b, s.Key, fmt.Sprint("byte ", at))
		}
	})
	t.Run("cut off", func(t *testing.T) {
		for _, n := range []int{0, 1, 39, 40, 41, 55, 56, 57, segment - 1, segment, segment + 1, 2 * segment, 3 * segment, 3*segment + 16, len(sealed) - 1} {
			b.objects.set(s.Key, sealed[:n])
			forged(t, b, s.Key, fmt.Sprint("to ", n))
		}
	})
	t.Run("longer", func(t *testing.T) {
		b.objects.set(s.Key, append(bytes.Clone(sealed), 0))
		forged(t, b, s.Key, "one byte more")
		b.objects.set(s.Key, append(bytes.Clone(sealed), sealed...))
		forged(t, b, s.Key, "twice")
	})
	t.Run("parts swapped", func(t *testing.T) {
		bad := bytes.Clone(sealed)
		copy(bad[segment:2*segment], sealed[2*segment:3*segment])
		copy(bad[2*segment:3*segment], sealed[segment:2*segment])
		b.objects.set(s.Key, bad)
		forged(t, b, s.Key, "segments")
	})
	t.Run("another's", func(t *testing.T) {
		for _, o := range []vault.Sealed{b.put(t, "t", "e1", noise(100)), b.put(t, "t", "e2", noise(100)), b.put(t, "u", "e1", noise(100))} {
			b.objects.set(s.Key, b.objects.get(o.Key))
			forged(t, b, s.Key, o.Key)
		}
	})
	t.Run("of nobody", func(t *testing.T) {
		b.objects.set("t/e9/01J00000000000000000000000", sealed)
		forged(t, b, "t/e9/01J00000000000000000000000", "a subject that never had a key")
	})
	b.objects.set(s.Key, sealed)
	_, err := b.Read(t.Context(), s.Key, 1<<30)
	require.NoError(t, err, "and the right one opens still")
}

func TestRecords(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	sealed, err := b.SealBytes(ctx, "t", "e1", "photo1.model1", []byte("vector"))
	require.NoError(t, err)
	plain, err := b.other().OpenBytes(ctx, "t", "e1", "photo1.model1", sealed)
	require.NoError(t, err)
	require.Equal(t, "vector", string(plain))
	for _, who := range [][3]string{{"t", "e1", "photo2.model1"}, {"t", "e2", "photo1.model1"}, {"u", "e1", "photo1.model1"}, {"t", "_tenant", "photo1.model1"}} {
		_, err := b.SealBytes(ctx, who[0], who[1], "x", nil) // so that they have keys
		require.NoError(t, err)
		_, err = b.OpenBytes(ctx, who[0], who[1], who[2], sealed)
		require.ErrorIs(t, err, vault.ErrForged, who)
	}
	for at := range sealed {
		bad := bytes.Clone(sealed)
		bad[at] ^= 0x80
		_, err := b.OpenBytes(ctx, "t", "e1", "photo1.model1", bad)
		require.ErrorIs(t, err, vault.ErrForged)
		_, err = b.OpenBytes(ctx, "t", "e1", "photo1.model1", sealed[:at])
		require.ErrorIs(t, err, vault.ErrForged)
	}
	// An object's bytes are no record, nor the other way round.
	o := b.put(t, "t", "e1", []byte("vector"))
	_, err = b.OpenBytes(ctx, "t", "e1", o.Key[5:], b.objects.get(o.Key))
	require.ErrorIs(t, err, vault.ErrForged)
	b.objects.set(o.Key, sealed)
	forged(t, b, o.Key, "a record")

	_, err = b.OpenBytes(ctx, "t", "nobody", "x", sealed)
	require.ErrorIs(t, err, results.ErrNotFound)

	secret, err := b.SealConfig(ctx, "t", "webhook.1", []byte("whsec"))
	require.NoError(t, err)
	plain, err = b.OpenConfig(ctx, "t", "webhook.1", secret)
	require.NoError(t, err)
	require.Equal(t, "whsec", string(plain))
	_, err = b.SealConfig(ctx, "u", "webhook.1", nil)
	require.NoError(t, err)
	_, err = b.OpenConfig(ctx, "u", "webhook.1", secret)
	require.ErrorIs(t, err, vault.ErrForged)
}

// Names that could be taken for two others are none.
func TestNames(t *testing.T) {
	b := newBench(t)
	for _, who := range [][2]string{{"t|e1", "x"}, {"t", "e1|x"}, {"", "e1"}, {"t", ""}, {"t/e1", "x"}, {"t", ".."}, {"t", "e1\x00"}} {
		_, err := b.SealBytes(t.Context(), who[0], who[1], "r", nil)
		require.Error(t, err, who)
		_, err = b.OpenBytes(t.Context(), who[0], who[1], "r", nil)
		require.Error(t, err, who)
		_, err = b.Put(t.Context(), who[0], who[1], strings.NewReader("x"))
		require.Error(t, err, who)
	}
	for _, key := range []string{"", "a", "t/e1", "t/../e1", "t/e1/x/y", "/t/e1"} {
		_, err := b.Open(t.Context(), key)
		require.ErrorIs(t, err, object.ErrKey, key)
	}
	require.Empty(t, b.objects.names())
	require.Empty(t, b.store.left())
	_, err := b.Open(t.Context(), "t/e1/01J00000000000000000000000")
	require.ErrorIs(t, err, object.ErrNotFound, "neither key nor object")
}

var errWentAway = errors.New("the client went away")

func TestPutLeavesNothing(t *testing.T) {
	t.Run("the reader fails", func(t *testing.T) {
		b := newBench(t)
		for _, n := range []int{0, 10, 1 << 20} {
			_, err := b.Put(t.Context(), "t", "e1", io.MultiReader(bytes.NewReader(noise(n)), iotest.ErrReader(errWentAway)))
			require.ErrorIs(t, err, errWentAway)
			require.Empty(t, b.objects.names())
			require.Empty(t, b.store.left())
		}
	})
	t.Run("the caller goes", func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.objects.onPut = func(string) { cancel() }
		_, err := b.Put(ctx, "t", "e1", strings.NewReader("x"))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, b.objects.names())
		require.Empty(t, b.store.left())
	})
	t.Run("the answer is lost", func(t *testing.T) {
		b := newBench(t)
		b.objects.failPut = object.ErrAway
		_, err := b.Put(t.Context(), "t", "e1", strings.NewReader("x"))
		require.ErrorIs(t, err, object.ErrAway)
		require.Empty(t, b.objects.names())
		require.Empty(t, b.store.left())
	})
	t.Run("the objects are away altogether", func(t *testing.T) {
		b := newBench(t)
		b.objects.failPut, b.objects.failGone = object.ErrNoSpace, object.ErrAway
		_, err := b.Put(t.Context(), "t", "e1", strings.NewReader("x"))
		require.ErrorIs(t, err, object.ErrNoSpace)
		require.Equal(t, b.objects.names(), b.store.left(), "what is left stays noted, for the sweeper")
		require.Len(t, b.store.left(), 1)
	})
	t.Run("the note fails", func(t *testing.T) {
		b := newBench(t)
		b.put(t, "t", "e1", nil) // the key is made
		b.objects.onPut = func(string) { t.Error("an object was written that nobody had noted") }
		b.store.fail = results.ErrAway
		_, err := b.Put(t.Context(), "t", "e1", strings.NewReader("x"))
		require.ErrorIs(t, err, results.ErrAway)
		_, err = b.PutAll(t.Context(), "t", "e1", [][]byte{nil})
		require.ErrorIs(t, err, results.ErrAway)
	})
	t.Run("noted first", func(t *testing.T) {
		b := newBench(t)
		seen := 0
		b.objects.onPut = func(key string) {
			seen++
			require.Contains(t, b.store.left(), key)
		}
		b.put(t, "t", "e1", []byte("x"))
		require.Equal(t, 1, seen)
	})
}

func TestPutAll(t *testing.T) {
	b := newBench(t)
	blobs := make([][]byte, 20)
	for i := range blobs {
		blobs[i] = noise(1000 * i)
	}
	sealed, err := b.PutAll(t.Context(), "t", "e1", blobs)
	require.NoError(t, err)
	require.Len(t, b.store.left(), len(blobs))
	for i, s := range sealed {
		got, err := b.Read(t.Context(), s.Key, 1<<20)
		require.NoError(t, err)
		require.True(t, bytes.Equal(blobs[i], got), i)
	}
	var keys []string
	for _, s := range sealed {
		keys = append(keys, s.Key)
	}
	require.NoError(t, b.Discard(t.Context(), keys...))
	require.Empty(t, b.store.left())
	require.Empty(t, b.objects.names())
	b.objects.failPut = object.ErrNoSpace
	_, err = b.PutAll(t.Context(), "t", "e1", blobs)
	require.ErrorIs(t, err, object.ErrNoSpace)
	require.Empty(t, b.store.left())
	require.Empty(t, b.objects.names())
	none, err := b.PutAll(t.Context(), "t", "e1", nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// A store that breaks off in the middle is away; nothing was forged.
func TestBrokenRead(t *testing.T) {
	b := newBench(t)
	s := b.put(t, "t", "e1", noise(300_000))
	small := b.put(t, "t", "e1", noise(10))
	b.objects.breakRead = fmt.Errorf("%w: connection reset", object.ErrAway)
	for _, key := range []string{s.Key, small.Key} {
		_, err := b.Open(t.Context(), key)
		require.ErrorIs(t, err, object.ErrAway)
		require.NotErrorIs(t, err, vault.ErrForged)
	}
}

func TestErase(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	s, kept := b.put(t, "t", "e1", noise(1000)), b.put(t, "t", "e2", noise(1000))
	record, err := b.SealBytes(ctx, "t", "e1", "r", []byte("x"))
	require.NoError(t, err)
	require.NoError(t, b.Erase(ctx, "t", "e1", results.AuditEntry{}))
	// At once, though the key was in the cache.
	_, err = b.Open(ctx, s.Key)
	require.ErrorIs(t, err, results.ErrErased)
	_, err = b.OpenBytes(ctx, "t", "e1", "r", record)
	require.ErrorIs(t, err, results.ErrErased)
	_, err = b.SealBytes(ctx, "t", "e1", "r", nil)
	require.ErrorIs(t, err, results.ErrErased)
	_, err = b.Put(ctx, "t", "e1", strings.NewReader("x"))
	require.ErrorIs(t, err, results.ErrErased, "and never gets a new key")
	require.Equal(t, []string{kept.Key}, b.objects.names())
	require.Empty(t, b.store.left())
	_, err = b.Read(ctx, kept.Key, 1000)
	require.NoError(t, err)

	// Objects that cannot be deleted now are noise, and stay noted.
	b.objects.failGone = object.ErrAway
	require.NoError(t, b.Erase(ctx, "t", "e2", results.AuditEntry{}))
	require.Equal(t, []string{kept.Key}, b.store.left())
	_, err = b.Open(ctx, kept.Key)
	require.ErrorIs(t, err, results.ErrErased)

	b.store.fail = results.ErrAway
	require.ErrorIs(t, b.Erase(ctx, "t", "e3", results.AuditEntry{}), results.ErrAway)
}

// Another process forgets an erased subject within seconds; until then it asks the store once, not for every object.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		other := b.other()
		s := b.put(t, "t", "e1", noise(10))
		_, err := other.Read(t.Context(), s.Key, 10)
		require.NoError(t, err)
		asked := b.store.asked
		for range 20 {
			_, err := other.Read(t.Context(), s.Key, 10)
			require.NoError(t, err)
		}
		require.Equal(t, asked, b.store.asked)
		b.objects.failGone = object.ErrAway // the object stays
		require.NoError(t, b.Erase(t.Context(), "t", "e1", results.AuditEntry{}))
		time.Sleep(5*time.Second + time.Millisecond)
		_, err = other.Read(t.Context(), s.Key, 10)
		require.ErrorIs(t, err, results.ErrErased)
	})
}

// A key that was on its way from the store while its subject was erased is not kept.
func TestEraseDuringLoad(t *testing.T) {
	b := newBench(t)
	s := b.put(t, "t", "e1", noise(10))
	b.objects.failGone = object.ErrAway
	v := b.other()
	var once sync.Once
	b.store.onAsk = func() {
		once.Do(func() { require.NoError(t, v.Erase(t.Context(), "t", "e1", results.AuditEntry{})) })
	}
	_, err := v.Read(t.Context(), s.Key, 10)
	require.NoError(t, err, "it had the key before")
	_, err = v.Read(t.Context(), s.Key, 10)
	require.ErrorIs(t, err, results.ErrErased)
}

func TestManySubjects(t *testing.T) {
	b := newBench(t)
	row, err := b.SealBytes(t.Context(), "t", "e0", "r", []byte("x"))
	require.NoError(t, err)
	for i := range 4200 { // more than are kept
		_, err := b.SealBytes(t.Context(), "t", fmt.Sprint("s", i), "r", nil)
		require.NoError(t, err)
	}
	_, err = b.OpenBytes(t.Context(), "t", "e0", "r", row)
	require.NoError(t, err)
}

// Two processes make the key of a new subject at the same time: both use the one that was stored first.
func TestSameKey(t *testing.T) {
	b := newBench(t)
	other := b.other()
	var both sync.WaitGroup
	both.Add(2)
	b.store.onCreate = func() { both.Done(); both.Wait() }
	sealed := make([][]byte, 2)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i, v := range []bench{b, other} {
		wg.Go(func() { sealed[i], errs[i] = v.SealBytes(context.Background(), "t", "e1", "r", []byte("x")) })
	}
	wg.Wait()
	for i := range sealed {
		require.NoError(t, errs[i])
		for _, v := range []bench{b, other} {
			_, err := v.OpenBytes(t.Context(), "t", "e1", "r", sealed[i])
			require.NoError(t, err)
		}
	}
}

// The rows of the store are sealed as well: they open only with the key-encryption key and only for their subject.
func TestForgedKeys(t *testing.T) {
	b := newBench(t)
	s1, s2 := b.put(t, "t", "e1", noise(10)), b.put(t, "t", "e2", noise(10))
	good := b.store.keys["t/e1"]
	try := func(what string, change func(k *results.SubjectKey)) {
		k := good
		k.Wrapped = bytes.Clone(good.Wrapped)
		change(&k)
		b.store.keys["t/e1"] = k
		_, err := b.other().Open(t.Context(), s1.Key)
		require.ErrorIs(t, err, vault.ErrForged, what)
	}
	try("another subject's", func(k *results.SubjectKey) { k.Wrapped = b.store.keys["t/e2"].Wrapped })
	try("no JSON", func(k *results.SubjectKey) { k.Wrapped = []byte("?") })
	try("nothing", func(k *results.SubjectKey) { k.Wrapped = nil })
	var parts map[string]any
	require.NoError(t, json.Unmarshal(good.Wrapped, &parts))
	again := func(v any) []byte {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		return text
	}
	try("exchanged keysets", func(k *results.SubjectKey) {
		k.Wrapped = again(map[string]any{"v": 1, "records": parts["objects"], "objects": parts["records"]})
	})
	try("without one", func(k *results.SubjectKey) { k.Wrapped = again(map[string]any{"v": 1, "records": parts["records"]}) })
	try("a later form", func(k *results.SubjectKey) { k.Wrapped = again(map[string]any{"v": 2, "x": 1}) })
	b.store.keys["t/e1"] = good
	_, err := b.other().Open(t.Context(), s1.Key)
	require.NoError(t, err)
	_, err = b.other().Open(t.Context(), s2.Key)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", b.Vault, b.kek, b.kek), "raw:[]uint8")
}

func TestStoreAway(t *testing.T) {
	b := newBench(t)
	s := b.put(t, "t", "e1", nil)
	b.store.fail = fmt.Errorf("%w: connection refused", results.ErrAway)
	_, err := b.other().Open(t.Context(), s.Key)
	require.ErrorIs(t, err, results.ErrAway)
	require.NotErrorIs(t, err, vault.ErrForged)
}

// The vault over the real object folder.
func TestFolder(t *testing.T) {
	b := newBench(t)
	folder, err := object.NewFolder(t.TempDir())
	require.NoError(t, err)
	defer folder.Close()
	v := vault.New(b.store, folder, b.kek)
	require.NoError(t, v.Ping(t.Context()))
	plain := noise(1 << 20)
	s, err := v.Put(t.Context(), "t", "e1", bytes.NewReader(plain))
	require.NoError(t, err)
	got, err := v.Read(t.Context(), s.Key, 1<<20)
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, got))
	_, err = v.Put(t.Context(), "t", "e1", io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(errWentAway)))
	require.ErrorIs(t, err, errWentAway)
	n := 0
	require.NoError(t, folder.List(t.Context(), "", func(object.Info) error { n++; return nil }))
	require.Equal(t, 1, n)
}

func BenchmarkSeal(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"100KiB", 100 << 10}, {"8MiB", 8 << 20}} {
		plain := noise(c.n)
		b.Run("put/"+c.name, func(b *testing.B) {
			v := newBench(b)
			b.SetBytes(int64(c.n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Put(b.Context(), "t", "e1", bytes.NewReader(plain)); err != nil {
					b.Fatal(err)
				}
				clear(v.objects.kept)
				clear(v.store.pending)
			}
		})
		b.Run("open/"+c.name, func(b *testing.B) {
			v := newBench(b)
			s := v.put(b, "t", "e1", plain)
			b.SetBytes(int64(c.n))
			b.ReportAllocs()
			for b.Loop() {
				f, err := v.Open(b.Context(), s.Key)
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
	b.Run("record", func(b *testing.B) {
		v := newBench(b)
		for b.Loop() {
			if _, err := v.SealBytes(b.Context(), "t", "e1", "r", make([]byte, 2048)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unwrap", func(b *testing.B) {
		v := newBench(b)
		s := v.put(b, "t", "e1", nil)
		for b.Loop() {
			v.Forget("t", "e1")
			if _, err := v.Read(b.Context(), s.Key, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
