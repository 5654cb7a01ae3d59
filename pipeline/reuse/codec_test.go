package reuse

import (
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

func TestFingerprintRoundTrip(t *testing.T) {
	full := fingerprint(t, photo(t, newStage(1, 7, 200, 150), 0, asIs))
	full.Areas, full.Audio, full.Views = madeUpAreas(), madeUpAudio(), madeUpViews(t)
	for name, f := range map[string]Fingerprint{
		"with areas, sound and views": full,
		"clip":                        fingerprint(t, film(t, newStage(1, 7, 200, 150), 3, from(0), asIs)),
		"photo":                       fingerprint(t, photo(t, newStage(1, 7, 200, 150), 0, asIs)),
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := f.MarshalBinary()
			require.NoError(t, err)
			var g Fingerprint
			require.NoError(t, g.UnmarshalBinary(raw))
			again, err := g.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, raw, again)
			require.Equal(t, f.Stills, g.Stills)
			require.Equal(t, f.index, g.index)
			require.Equal(t, f.Areas, g.Areas)
			require.Equal(t, f.Audio, g.Audio)
			require.Equal(t, f.Views, g.Views)
			require.Equal(t, f.coarse.n, g.coarse.n)
			for i, v := range f.coarse.v {
				require.InDelta(t, v, g.coarse.v[i], 0)
			}
			require.Equal(t, f.SHA256, g.SHA256)
			require.Equal(t, f.Kind, g.Kind)
			require.Equal(t, f.Duration, g.Duration)
			require.Less(t, len(raw), 450_000)
			clear(raw) // the fingerprint must not live in the bytes that it was read from
			_, err = decodePoints(g.points)
			require.NoError(t, err)
		})
	}
}

// asVersion is a fingerprint's bytes as an earlier version wrote them: version 2 had no section of views, which must be empty then.
func asVersion(raw []byte, version int) []byte {
	const emptyViews = 1 + 4 + 1
	out := append([]byte{}, raw...)
	if version == withoutViews {
		out = out[:len(out)-emptyViews]
	}
	order.PutUint16(out[len(magic):], uint16(version))
	return sealed(out)
}

// What earlier versions wrote is compared like any other; it only lacks views, and photos their grid: there the points alone decide.
func TestReadsEarlierVersionsUnraced(t *testing.T) {
	room := newStage(1, 7, 320, 240)
	clip, of := fingerprint(t, film(t, newStage(1, 7, 200, 150), 2, from(0), asIs)), fingerprint(t, photo(t, room, 1, asIs))
	require.NotEmpty(t, of.motion)
	of.motion = nil
	query := fingerprint(t, photo(t, room, 1, darker))
	for _, version := range []int{withoutViews, withoutCells, FormatVersion} {
		require.True(t, Reads(version))
		for _, f := range []Fingerprint{clip, of} {
			raw, err := f.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, FormatVersion, versionOf(raw))
			g, err := Read(asVersion(raw, version))
			require.NoError(t, err)
			again, err := g.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, raw, again, "written anew it is of this version")
			if f.Kind != media.Photo {
				continue
			}
			check, res, err := Check(t.Context(), query, []Candidate{{Job: "monday", Fingerprint: g}}, 0, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, pipeline.Uncertain, check.Outcome, "its points ask about a copy")
			require.Zero(t, res.Matches[0].changed)
		}
	}
	require.False(t, Reads(1))
	require.False(t, Reads(FormatVersion+1))
}

func madeUpAreas() []Area {
	return []Area{
		{Left: 10, Top: 20, Right: 245, Bottom: 255, PDQ: Bits256{1, 2, 3, 4}, Quality: 70},
		{Left: 10, Top: 21, Right: 245, Bottom: 255, Quality: 100},
	}
}

func madeUpAudio() Audio {
	return Audio{Subs: []uint32{7, 0, 0xffffffff, 0, 0, 0, 0, 0, 9}, Heard: []bool{true, false, true, true, false, false, false, false, true}}
}

func TestMotionKeepsASixteenthOfAGreyLevel(t *testing.T) {
	grid := newWarp(identity, 160, 120, cells)
	full := resampleMotion(film(t, newStage(1, 7, 200, 150), 3, from(0), asIs).Motion)
	want := grid.apply(&full, 1)
	want.valid[4] = false
	got, err := decodeMotion(nil, encodeMotion(&want))
	require.NoError(t, err)
	require.Equal(t, want.n, got.n)
	require.Equal(t, want.valid, got.valid)
	for i := range want.n {
		if !want.valid[i] {
			require.Equal(t, make([]float32, gridSize), got.frame(i))
			continue
		}
		for j, v := range want.frame(i) {
			require.InDelta(t, v, got.frame(i)[j], 1.0/32+1e-4)
		}
	}
}

// sealed replaces the checksum, so that what lies behind it is tested.
func sealed(b []byte) []byte {
	b = b[:len(b)-4]
	return order.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func TestUnmarshalRefuses(t *testing.T) {
	raw, err := fingerprint(t, film(t, newStage(1, 7, 120, 90), 2, from(0), asIs)).MarshalBinary()
	require.NoError(t, err)
	const firstSection = 6
	meta := firstSection + 5
	stills := meta + int(order.Uint32(raw[firstSection+1:])) + 5
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":               func([]byte) []byte { return nil },
		"text":                func([]byte) []byte { return []byte("this is no fingerprint") },
		"wrong mark":          func(b []byte) []byte { b[0] = 'X'; return sealed(b) },
		"newer version":       func(b []byte) []byte { b[4] = 99; return sealed(b) },
		"one bit wrong":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":                 func(b []byte) []byte { return sealed(b[:len(b)/2]) },
		"longer":              func(b []byte) []byte { return sealed(append(b, 0, 0, 0, 0, 0)) },
		"section out of turn": func(b []byte) []byte { b[firstSection] = 2; return sealed(b) },
		"huge section":        func(b []byte) []byte { order.PutUint32(b[firstSection+1:], 1<<31); return sealed(b) },
		"unknown kind":        func(b []byte) []byte { b[meta] = 9; return sealed(b) },
		"too many stills":     func(b []byte) []byte { order.PutUint16(b[stills:], 60000); return sealed(b) },
	} {
		t.Run(name, func(t *testing.T) {
			var f Fingerprint
			require.ErrorIs(t, f.UnmarshalBinary(spoil(append([]byte{}, raw...))), ErrFormat)
			require.Equal(t, Fingerprint{}, f)
		})
	}
}

// What one bit too many in areas and sound would make: a second encoding of the same, or something that nothing else expects.
func TestUnmarshalRefusesAreasAndSound(t *testing.T) {
	area := func(still int, l, tp, r, b uint8) Area {
		return Area{Still: still, Left: l, Top: tp, Right: r, Bottom: b}
	}
	many := make([]Area, 0, areasPerStill+1)
	for i := range areasPerStill + 1 {
		many = append(many, area(0, 0, 0, 9, uint8(i+1)))
	}
	var wide []Area
	for i := range areaStills + 1 {
		wide = append(wide, area(i, 0, 0, 9, 9))
	}
	base := Fingerprint{Kind: media.Photo, Stills: make([]Still, areaStills+1), points: encodePoints(nil)}
	for name, c := range map[string]struct {
		areas []Area
		audio []byte
		want  string
	}{
		"still that is not there": {areas: []Area{area(99, 0, 0, 9, 9)}, want: "of still 99"},
		"empty area":              {areas: []Area{area(0, 5, 0, 5, 9)}, want: "is empty"},
		"doubled area":            {areas: []Area{area(0, 0, 0, 9, 9), area(0, 0, 0, 9, 9)}, want: "doubled"},
		"out of order":            {areas: []Area{area(1, 0, 0, 9, 9), area(0, 0, 0, 9, 9)}, want: "out of order"},
		"quality":                 {areas: []Area{{Right: 1, Bottom: 1, Quality: 101}}, want: "quality 101"},
		"too many of one still":   {areas: many, want: "areas of"},
		"too many stills":         {areas: wide, want: "areas of"},
		"nothing heard":           {audio: []byte{3, 0, 0}, want: "nothing is heard"},
		"marks behind the last":   {audio: []byte{1, 0, 3, 1, 2, 3, 4}, want: "marks behind"},
		"sound that is cut":       {audio: []byte{2, 0, 3, 1, 2, 3, 4}, want: "missing"},
		"sound that goes on":      {audio: []byte{1, 0, 1, 1, 2, 3, 4, 5}, want: "left over"},
		"too much sound":          {audio: []byte{255, 255}, want: "65535 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			bodies := [sections][]byte{2: encodeIndex(nil), 3: base.points, 4: encodeCoarse(&base.coarse), 6: encodeAreas(c.areas), 7: encodeAudio(&Audio{}), 8: {0}}
			bodies[0] = make([]byte, 73)
			bodies[0][0] = 2
			bodies[1] = encodeStills(base.Stills)
			if c.audio != nil {
				bodies[7] = c.audio
			}
			raw := order.AppendUint16(append([]byte{}, magic[:]...), FormatVersion)
			for i, b := range bodies {
				raw = order.AppendUint32(append(raw, byte(i+1)), uint32(len(b)))
				raw = append(raw, b...)
			}
			var f Fingerprint
			err := f.UnmarshalBinary(order.AppendUint32(raw, crc32.ChecksumIEEE(raw)))
			require.ErrorIs(t, err, ErrFormat)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestDecodeMotionRefuses(t *testing.T) {
	tr := track{n: 2, w: cells, h: cells, valid: []bool{true, true}, v: make([]float32, 2*gridSize)}
	good := encodeMotion(&tr)
	more := tr
	more.n, more.valid, more.v = 3, []bool{true, true, true}, make([]float32, 3*gridSize)
	claimsLess := append([]byte{}, encodeMotion(&more)...)
	claimsLess[4], claimsLess[6] = 2, 3
	for name, b := range map[string][]byte{
		"cut": good[:len(good)-3], "head only": good[:7], "goes on": claimsLess, "half a head": good[:3],
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeMotion(nil, b)
			require.ErrorIs(t, err, ErrFormat)
		})
	}
}

func TestMarshalRefusesWhatCannotBeWritten(t *testing.T) {
	good := fingerprint(t, photo(t, newStage(1, 7, 120, 90), 0, asIs))
	for _, spoil := range []func(*Fingerprint){
		func(f *Fingerprint) { f.SHA256 = "abc" }, func(f *Fingerprint) { f.PacketsSHA256 = "zz" }, func(f *Fingerprint) { f.Kind = "sound" },
		func(f *Fingerprint) { f.Areas = []Area{{Still: 1, Right: 255, Bottom: 255}} },
		func(f *Fingerprint) { f.Audio.Subs = []uint32{1} },
		func(f *Fingerprint) { f.Width = 1 << 20 }, func(f *Fingerprint) { f.Stills = make([]Still, maxStills+1) },
	} {
		f := good
		spoil(&f)
		_, err := f.MarshalBinary()
		require.Error(t, err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	// A small one made by hand: mutations of a real one of 200 KB hardly ever hit a number that matters.
	tr := track{n: 3, w: cells, h: cells, valid: []bool{true, false, true}, v: make([]float32, 3*gridSize)}
	stills := []pointStill{{pts: time.Second, points: []Point{{X: 3, Y: 4, Size: 5, Angle: 6}, {X: 7}}}}
	clip := Fingerprint{Kind: media.Video, Width: 64, Height: 48, Duration: time.Second, Stills: []Still{{Quality: 90}}, points: encodePoints(stills), index: makeIndex(stills), motion: encodeMotion(&tr), coarse: makeCoarse(&tr)}
	one := track{n: 1, w: cells, h: cells, valid: []bool{true}, v: make([]float32, gridSize)}
	for _, g := range []Fingerprint{clip, {Kind: media.Photo, points: encodePoints(nil)}, {Kind: media.Photo, points: encodePoints(nil), motion: encodeMotion(&one)}} {
		raw, err := g.MarshalBinary()
		require.NoError(f, err)
		for _, version := range []int{withoutViews, withoutCells, FormatVersion} {
			of := asVersion(raw, version)
			f.Add(uint16(version), of[6:len(of)-4])
		}
	}
	clip.Areas, clip.Audio, clip.Views = madeUpAreas(), madeUpAudio(), madeUpViews(f)
	raw, err := clip.MarshalBinary()
	require.NoError(f, err)
	f.Add(uint16(FormatVersion), raw[6:len(raw)-4])
	f.Fuzz(func(t *testing.T, version uint16, body []byte) {
		// Mark, version and checksum are put on, so that the fuzzer reaches what lies behind them.
		raw := append(order.AppendUint16(append([]byte{}, magic[:]...), version), body...)
		raw = order.AppendUint32(raw, crc32.ChecksumIEEE(raw))
		var g Fingerprint
		if err := g.UnmarshalBinary(raw); err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		again, err := g.MarshalBinary()
		require.NoError(t, err, "what was read cannot be written")
		require.Equal(t, raw, asVersion(again, int(version)), "there is a second encoding")
		if m, err := decodeMotion(nil, g.motion); err == nil {
			require.LessOrEqual(t, m.n, maxTrackFrames)
		}
		points, err := decodePoints(g.points)
		require.NoError(t, err)
		require.LessOrEqual(t, len(points), maxPointStills)
	})
}
