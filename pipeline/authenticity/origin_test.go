package authenticity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/media/origin"
)

func TestPrograms(t *testing.T) {
	track := func(handler string) media.Info {
		return media.Info{Kind: media.Video, Origin: origin.Facts{Tracks: []origin.Track{{Kind: "vide", Handler: handler}}}}
	}
	tags := func(kv ...string) media.Info {
		i := media.Info{Kind: media.Video, Tags: map[string]string{}}
		for n := 0; n < len(kv); n += 2 {
			i.Tags[kv[n]] = kv[n+1]
		}
		return i
	}
	photo := func(software string) media.Info {
		return media.Info{Kind: media.Photo, Origin: origin.Facts{Photo: &origin.Photo{Software: software}}}
	}
	for name, c := range map[string]struct {
		info    media.Info
		program string
		is      pipeline.Outcome
	}{
		"OBS":                       {track("OBS Video Handler"), "OBS Studio", pipeline.Fail},
		"its sound track":           {track("simple_aac_recording0"), "OBS Studio", pipeline.Fail},
		"a screen of an iPhone":     {tags("com.apple.quicktime.author", "ReplayKitRecording"), "iOS screen recording", pipeline.Fail},
		"made by a model":           {media.Info{Kind: media.Photo, Origin: origin.Facts{Photo: &origin.Photo{Source: "trainedAlgorithmicMedia"}}}, "a picture generator", pipeline.Fail},
		"retouched by a model":      {media.Info{Kind: media.Photo, Origin: origin.Facts{Photo: &origin.Photo{Source: "compositeWithTrainedAlgorithmicMedia"}}}, "an editor that adds generated parts", pipeline.Uncertain},
		"a model, in a comment":     {tags("comment", "trainedAlgorithmicMedia"), "", ""},
		"never seen in a file":      {tags("encoder", "ManyCam 8.1"), "ManyCam", pipeline.Uncertain},
		"its name in a title":       {tags("title", "ManyCam Virtual Webcam"), "", ""},
		"a recorder in a comment":   {tags("comment", "made without OBS Studio", "artist", "Bandicam", "description", "ReplayKitRecording"), "", ""},
		"a recorder of QuickTime's": {tags("com.apple.quicktime.software", "Bandicam 6"), "Bandicam", pipeline.Fail},
		"CapCut, by a tag's name":   {tags("te_is_reencode", "1", "encoder", "Lavf57.71.100"), "CapCut / JianYing", pipeline.Uncertain},
		"CapCut, by what it says":   {tags("software", `{"publicMode":"1","TEEditor":"2"}`), "CapCut / JianYing", pipeline.Uncertain},
		"Premiere":                  {track("Mainconcept Video Media Handler"), "Adobe Premiere / Media Encoder", pipeline.Uncertain},
		"Premiere, by XMP":          {media.Info{Kind: media.Video, Origin: origin.Facts{Tool: "Adobe Premiere Pro 2024.0"}}, "Adobe Premiere", pipeline.Uncertain},
		"a download":                {track("ISO Media file produced by Google Inc."), "YouTube", pipeline.Uncertain},
		"a photo out of Photoshop":  {photo("Adobe Photoshop 25.1 (Windows)"), "Adobe Photoshop", pipeline.Uncertain},
		"the surest first":          {tags("encoder", "Lavf60", "artist", "CapCut", "software", "OBS-Studio 30"), "OBS Studio", pipeline.Fail},
		"FFmpeg":                    {tags("encoder", "Lavf59.27.100"), "", ""},
		"a messenger":               {tags("description", "WhatsApp Video"), "", ""},
		"an Android phone":          {tags("com.android.version", "14", "major_brand", "mp42", "handler_name", "VideoHandle"), "", ""},
		"an iPhone":                 {tags("com.apple.quicktime.make", "Apple", "com.apple.quicktime.software", "17.4.1"), "", ""},
		"a place with such a name":  {tags("location", "+31+121/ OBS Studio"), "", ""},
		"a photo of a phone":        {photo("HDR+ 1.0.540104767zd"), "", ""},
		"many people's only camera": {photo("Meitu 11.2"), "", ""},
		"nothing":                   {media.Info{Kind: media.Video}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			got := checker{cfg: &cfg, clip: &media.Clip{Info: c.info}, out: &pipeline.Check{Outcome: pipeline.Pass, Detail: map[string]any{}}}
			got.origin()
			var program string
			var is pipeline.Outcome
			for _, f := range got.out.Findings {
				require.Equal(t, pipeline.InjectedStream, f.Code)
				program, is = f.Args["program"], f.Outcome
				require.Equal(t, is == pipeline.Fail, f.Certain)
				require.NotEmpty(t, f.Evidence[0].Read, "its proof")
			}
			require.Equal(t, c.program, program)
			require.Equal(t, c.is, is)
			require.Equal(t, is == pipeline.Fail, got.score >= 1)
		})
	}
}

func TestNoProofIsLong(t *testing.T) {
	i := media.Info{Kind: media.Video, Tags: map[string]string{"comment": strings.Repeat("Müller ", 60) + "CapCut" + strings.Repeat(" was hier", 60)}}
	all := namesOf(&i)
	require.Len(t, all, 1)
	require.LessOrEqual(t, len(all[0].value), 60)
	require.Contains(t, all[0].value, "CapCut")
}

func TestProgramsTable(t *testing.T) {
	seen := map[string]bool{}
	for word := range whole {
		require.True(t, slices.ContainsFunc(programs, func(p program) bool { return p.says == word }), word)
	}
	for _, p := range programs {
		if _, ok := whole[p.says]; p.sure == certain && !ok {
			require.Contains(t, feeds, p.kind, "anybody may write its name into a comment")
		}
		require.Equal(t, strings.ToLower(p.says), p.says)
		require.False(t, seen[p.says], p.says)
		seen[p.says] = true
		require.GreaterOrEqual(t, len(p.says), 4, "short words stand in anything")
		if p.sure == weak {
			require.Contains(t, weights, p.kind)
		}
	}
	sum := 0.0 // what re-saving leaves in an honest clip
	for _, code := range []string{"library", "messenger", "beauty", "uniform_times", "second_coding", "odd_size", "mirrored", "rewritten", "times_missing"} {
		require.Contains(t, weights, code)
		sum += weights[code]
	}
	require.Less(t, sum, signLimit, "re-saving alone never reaches the limit")
	for code, w := range weights {
		require.Less(t, w, signLimit, "%s is never decisive alone", code)
	}
}

// requireProof requires that a sign says what it rests on, in both languages.
func requireProof(t *testing.T, s sign) {
	t.Helper()
	require.NotEmpty(t, s.proof.EN)
	require.NotRegexp(t, `\p{Han}|%!`, s.proof.EN)
	require.Regexp(t, `\p{Han}`, s.proof.ZH)
	require.NotContains(t, s.proof.ZH, "%!")
}

func TestEdits(t *testing.T) {
	codes := func(track *origin.Track) (out []string) {
		f := origin.Facts{Tracks: []origin.Track{{Kind: "soun", Edits: make([]origin.Edit, 5)}, *track}}
		for _, s := range editSigns(f) {
			out = append(out, s.code)
			requireProof(t, s)
		}
		return out
	}
	one := origin.Edit{FromMS: 66, LengthMS: 15000}
	late := origin.Edit{FromMS: 6333, LengthMS: 15000}
	empty := origin.Edit{FromMS: -1, LengthMS: 40}
	slow := origin.Edit{FromMS: 0, LengthMS: 15000, Rate: true}
	require.Empty(t, codes(&origin.Track{Kind: "vide"}))
	require.Empty(t, codes(&origin.Track{Kind: "vide", Edits: []origin.Edit{empty, one}}))
	require.Equal(t, []string{"trimmed"}, codes(&origin.Track{Kind: "vide", Edits: []origin.Edit{late}}))
	require.Equal(t, []string{"cut_list"}, codes(&origin.Track{Kind: "vide", Edits: []origin.Edit{one, late}}))
	require.Equal(t, []string{"speed"}, codes(&origin.Track{Kind: "vide", Edits: []origin.Edit{slow}}))
	require.Equal(t, []string{"rewritten"}, codes(&origin.Track{Kind: "vide", Created: 1e9, Modified: 1e9 + 7200}))
}

func TestSizes(t *testing.T) {
	for size, want := range map[[2]int]string{
		{1280, 720}: "", {720, 1280}: "", {1920, 1080}: "", {1088, 1920}: "", {640, 480}: "", {512, 512}: "", {352, 288}: "", {2160, 1080}: "", {720, 1600}: "screen_size",
		{886, 1920}: "screen_size", {1366, 768}: "screen_size", {2560, 1600}: "screen_size", {1170, 2532}: "screen_size", {640, 237}: "odd_size", {500, 372}: "", {0, 0}: "",
	} {
		s, _ := sizeSign(size[0], size[1])
		require.Equal(t, want, s.code, "%v", size)
	}
}

func TestOrientations(t *testing.T) {
	for _, mirrored := range []bool{false, true} {
		for _, turned := range []int{0, 90, 180, 270} {
			c := checker{clip: &media.Clip{Info: media.Info{Kind: media.Video, Width: 720, Height: 1280, Rotation: turned, Mirrored: mirrored}}}
			var codes []string
			for _, s := range c.streamSigns() {
				codes = append(codes, s.code)
			}
			if mirrored {
				require.Equal(t, []string{"mirrored"}, codes, "%d degrees", turned)
			} else {
				require.Empty(t, codes, "phones turn by quarters: %d degrees", turned)
			}
		}
	}
}

// stream makes packets: steps in milliseconds, sizes by a function of the picture.
func stream(n int, step func(i int) float64, size func(i int) int, gop int) []media.Packet {
	out, at := make([]media.Packet, n), 0.0
	for i := range out {
		out[i] = media.Packet{PTS: time.Duration(at * 1e6), Bytes: size(i), Key: i%gop == 0}
		at += step(i)
	}
	return out
}

func TestTimes(t *testing.T) {
	codes := func(p []media.Packet) (out []string) {
		for _, s := range timeSigns(p) {
			out = append(out, s.code)
			requireProof(t, s)
		}
		return out
	}
	r := rand.New(rand.NewPCG(1, 2))
	size := func(int) int { return 5000 }
	exact := func(int) float64 { return 1000.0 / 30 }
	require.Equal(t, []string{"uniform_times"}, codes(stream(300, exact, size, 30)))
	require.Empty(t, codes(stream(300, func(int) float64 { return 33 + 6*r.Float64() }, size, 30)), "a camera's clock")
	require.Empty(t, codes(stream(40, exact, size, 30)), "too short to tell")
	require.Equal(t, []string{"times_missing"}, codes(stream(300, func(i int) float64 { return 50 * float64(i%2) }, size, 30)))
	require.Equal(t, []string{"times_missing"}, codes(stream(300, func(int) float64 { return 0 }, size, 30)))
}

func TestRepeats(t *testing.T) {
	step := func(int) float64 { return 1000.0 / 30 }
	r := rand.New(rand.NewPCG(3, 4))
	moving := func() int { return 3000 + r.IntN(3000) }
	_, ok := repeatSign(stream(300, step, func(int) int { return moving() }, 30))
	require.False(t, ok)
	for _, period := range []int{2, 4, 5, 6} {
		s, ok := repeatSign(stream(300, step, func(i int) int {
			if i%period == period-1 {
				return 40
			}
			return moving()
		}, 250))
		require.True(t, ok, period)
		require.Contains(t, s.proof.EN, fmt.Sprintf("every %d.", period))
		requireProof(t, s)
	}
	_, ok = repeatSign(stream(300, step, func(int) int { // now and then, as in a calm scene
		if r.IntN(4) == 0 {
			return 40
		}
		return moving()
	}, 30))
	require.False(t, ok)
	_, ok = repeatSign(stream(300, step, func(int) int { return 40 }, 300))
	require.False(t, ok, "a still is another check's")
}

func TestSecondCoding(t *testing.T) {
	step := func(int) float64 { return 1000.0 / 30 }
	r := rand.New(rand.NewPCG(5, 6))
	noise := func() int { return int(4000 * math.Exp(0.15*r.NormFloat64())) }
	found := 0
	for range 200 {
		if _, ok := codingSign(stream(450, step, func(int) int { return noise() }, 250)); ok {
			found++
		}
	}
	require.LessOrEqual(t, found, 4, "of 200 streams without a rhythm")
	s, ok := codingSign(stream(450, step, func(i int) int {
		if i%30 == 0 {
			return 2 * noise()
		}
		return noise()
	}, 250))
	require.True(t, ok)
	require.Contains(t, s.proof.EN, "every 30 ")
	requireProof(t, s)
	reordered := stream(450, step, func(i int) int { return noise() * (1 + 2*(i%3)) }, 250)
	for i := 1; i+1 < len(reordered); i += 2 {
		reordered[i].PTS, reordered[i+1].PTS = reordered[i+1].PTS, reordered[i].PTS
	}
	_, ok = codingSign(reordered)
	require.False(t, ok)
}

// A part is taken out of a moving scene, or another one begins: the picture jumps. A lamp, a hand before the lens and a shaken camera are no cuts.
func TestCutsUnraced(t *testing.T) {
	codes := func(m *media.Motion, p []media.Packet) (out []string) {
		for _, s := range cutSigns(m, p) {
			out = append(out, s.code)
			requireProof(t, s)
		}
		return out
	}
	for seed := range uint64(5) {
		whole := scene(20 + seed)
		track := whole.motion()
		require.Empty(t, codes(&track, nil), "one recording")
		other := scene(40 + seed)
		second := other.motion()
		half := len(track.Frames) / 2
		joined := track
		joined.Frames = append([]media.MotionFrame(nil), track.Frames...)
		for i := half; i < len(joined.Frames); i++ {
			joined.Frames[i].Gray = second.Frames[i].Gray
		}
		at := joined.Frames[half].PTS
		var p []media.Packet
		for i, pts := 0, time.Duration(0); pts < 8*time.Second; i, pts = i+1, pts+33*time.Millisecond {
			key := i == 0 || pts <= at && pts+33*time.Millisecond > at
			p = append(p, media.Packet{PTS: pts, Bytes: 4000, Key: key})
		}
		require.Equal(t, []string{"cut", "cut_coded"}, codes(&joined, p), "another recording")
		lamp := track
		lamp.Frames = append([]media.MotionFrame(nil), track.Frames...)
		for i := half; i < len(lamp.Frames); i++ {
			lamp.Frames[i].Gray = brighter(lamp.Frames[i].Gray)
		}
		require.Empty(t, codes(&lamp, p), "a lamp")
		flash := track
		flash.Frames = append([]media.MotionFrame(nil), track.Frames...)
		for i := half; i < half+3; i++ {
			flash.Frames[i].Gray = second.Frames[i].Gray
		}
		require.Empty(t, codes(&flash, p), "a hand before the lens")
	}
}

func brighter(g []byte) []byte {
	out := make([]byte, len(g))
	for i, v := range g {
		out[i] = byte(min(255, int(v)*3/4+50))
	}
	return out
}

func TestClock(t *testing.T) {
	taken := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	video := func(created time.Time) media.Info {
		return media.Info{Kind: media.Video, Duration: 15 * time.Second, Origin: origin.Facts{Created: created.Unix()}}
	}
	apple := func(s string) media.Info {
		return media.Info{Kind: media.Video, Tags: map[string]string{"com.apple.quicktime.creationdate": s}}
	}
	exif := func(at, zone string) media.Info {
		return media.Info{Kind: media.Photo, Origin: origin.Facts{Photo: &origin.Photo{Taken: at, Zone: zone}}}
	}
	both := Said{Taken: taken, Received: taken.Add(time.Minute)}
	for name, c := range map[string]struct {
		info media.Info
		said Said
		want pipeline.Outcome
	}{
		"as it should be":              {video(taken.Add(-10 * time.Second)), both, pipeline.Pass},
		"local time in the file":       {video(taken.Add(8 * time.Hour)), both, pipeline.Pass},
		"yesterday's":                  {video(taken.Add(-30 * time.Hour)), both, pipeline.Uncertain},
		"last month's":                 {video(taken.AddDate(0, -1, 0)), both, pipeline.Uncertain},
		"from the future":              {video(taken.AddDate(0, 0, 3)), both, pipeline.Uncertain},
		"a clock that was not set":     {video(time.Unix(3600, 0)), both, pipeline.Pass},
		"nothing claimed, today's":     {video(taken), Said{Received: taken.Add(5 * time.Hour)}, pipeline.Pass},
		"nothing claimed, old":         {video(taken.AddDate(0, 0, -3)), Said{Received: taken}, pipeline.Uncertain},
		"nothing known":                {video(taken.AddDate(0, 0, -3)), Said{}, pipeline.Pass},
		"a file without a time":        {media.Info{Kind: media.Video}, both, pipeline.Pass},
		"an iPhone's, with zone":       {apple("2026-03-02T12:00:05+0800"), both, pipeline.Pass},
		"an iPhone's, an hour off":     {apple("2026-03-02T11:00:05+0800"), both, pipeline.Uncertain},
		"an iPhone's, handed in later": {apple("2026-03-02T11:00:05+0800"), Said{Received: taken}, pipeline.Pass},
		"a photo, no zone":             {exif("2026:03:02 12:00:03", ""), both, pipeline.Pass},
		"a photo, with zone":           {exif("2026:03:02 12:00:03", "+08:00"), both, pipeline.Pass},
		"a photo, wrong zone":          {exif("2026:03:02 12:00:03", "+09:00"), both, pipeline.Uncertain},
		"last week's photo":            {exif("2026:02:20 12:00:03", ""), both, pipeline.Uncertain},
		"a photo's nonsense":           {exif("0000:00:00 00:00:00", ""), both, pipeline.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			check := pipeline.Check{Outcome: pipeline.Pass}
			Clock(&check, &c.info, c.said)
			require.Equal(t, c.want, check.Outcome, "%v", check.Detail)
			for _, f := range check.Findings {
				require.Equal(t, pipeline.ClockSkew, f.Code)
				require.False(t, f.Certain)
				require.NotEmpty(t, f.Args["apart_zh"])
			}
		})
	}
	short := pipeline.Check{Outcome: pipeline.NotChecked, Why: "too_short"}
	old := video(taken.AddDate(-1, 0, 0))
	Clock(&short, &old, both)
	require.Equal(t, pipeline.Uncertain, short.Outcome)
	require.Empty(t, short.Why)
	require.Len(t, short.Findings, 2, "that it was not looked at is not lost")
	require.Equal(t, pipeline.NotCheckedWanted, short.Findings[0].Code)
	require.Equal(t, map[string]string{"why": "too_short"}, short.Findings[0].Args)
	require.Equal(t, pipeline.ClockSkew, short.Findings[1].Code)
}
