package media

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"
)

// requireEverySecond wants about one still per second over the whole clip.
func requireEverySecond(t testing.TB, c *Clip) {
	t.Helper()
	require.NotEmpty(t, c.Frames)
	require.Zero(t, c.Frames[0].PTS)
	for i, f := range c.Frames {
		require.Equal(t, i, f.Index)
		if i > 0 {
			gap := f.PTS - c.Frames[i-1].PTS
			require.Positive(t, gap)
			require.LessOrEqual(t, gap, 2*time.Second, "before %v", f.PTS)
		}
	}
	require.Less(t, c.Info.Duration-c.Frames[len(c.Frames)-1].PTS, 2*time.Second)
}

func TestSampling(t *testing.T) {
	base := []string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"}
	source := func(rate string, seconds int) []string {
		return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=160x120:rate=%s:duration=%d", rate, seconds)}
	}
	for _, c := range []struct {
		name           string
		args           []string
		stills, motion int // about
	}{
		{"keyframe each second", append(append(source("30", 6), base...), "-g", "30"), 6, 60},
		{"one keyframe only", append(append(source("30", 6), base...), "-g", "1000"), 6, 60},
		{"b-frames", append(source("30", 6), "-c:v", "libx264", "-preset", "fast", "-bf", "3", "-pix_fmt", "yuv420p"), 6, 75},
		{"60 a second", append(append(source("60", 4), base...), "-g", "60"), 4, 40},
		{"slower than the track", append(source("5", 4), base...), 4, 20},
		{"one picture", append(append(source("5", 4), "-frames:v", "1"), base...), 1, 1},
		{"two pictures", append(append(source("25", 4), "-frames:v", "2"), base...), 1, 1},
		{"all keyframes", append(append(source("25", 3), base...), "-g", "1"), 3, 37},
		{"open gop", append(source("30", 6), "-c:v", "libx264", "-preset", "fast", "-g", "30", "-x264-params", "open-gop=1", "-pix_fmt", "yuv420p"), 6, 75},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := made(t, strings.ReplaceAll(c.name, " ", "_")+".mp4", c.args...)
			clip := decoded(t, file(t, "x.mp4", raw), DefaultRequest())
			requireEverySecond(t, clip)
			require.InDelta(t, c.stills, len(clip.Frames), 1)
			require.InDelta(t, c.motion, len(clip.Motion.Frames), float64(c.motion)/4+1)
			if clip.Info.FPS >= 10 && len(clip.Packets) > 2 {
				requireMotion(t, clip)
				require.LessOrEqual(t, clip.Motion.Frames[0].PTS, 100*time.Millisecond)
				require.Len(t, clip.Motion.Windows, 1)
			}
		})
	}
}

// Where pictures are coded between two others, the track says what each was taken from: a picture before a joint from the earlier ones alone.
func TestWhatPicturesAreTakenFrom(t *testing.T) {
	joined := []string{"-f", "lavfi", "-i", "testsrc2=size=320x240:rate=20:duration=2", "-f", "lavfi", "-i", "mandelbrot=size=320x240:rate=20:maxiter=80", "-filter_complex", "[1]trim=0:2[m];[0][m]concat"}
	x264 := []string{"-c:v", "libx264", "-preset", "superfast", "-threads", "1", "-sc_threshold", "0", "-pix_fmt", "yuv420p"}
	clip := decoded(t, file(t, "x.mp4", made(t, "joined.mp4", append(joined, x264...)...)), DefaultRequest())
	require.Zero(t, clip.Motion.Frames[0].Earlier, "a complete picture")
	side, fresh := 0, 0
	for _, f := range clip.Motion.Frames[1:] {
		if d := int(f.Earlier) - int(f.Later); f.Later > 0 && (d > 100 || d < -100) {
			side++
			require.InDelta(t, 2, f.PTS.Seconds(), 0.2)
		}
		if f.Later == 0 && f.Earlier < 100 {
			fresh++
			require.InDelta(t, 2.1, f.PTS.Seconds(), 0.2)
		}
	}
	require.Positive(t, side)
	require.Positive(t, fresh)

	clip = decoded(t, file(t, "y.mp4", made(t, "in_order.mp4", append(append(joined, x264...), "-bf", "0")...)), DefaultRequest())
	for _, f := range clip.Motion.Frames {
		require.Zero(t, int(f.Earlier)+int(f.Later), "a stream coded in order is not asked: phones' need no more time")
	}
}

// Around the step whose packet surprises there is every picture, beside a track that stays what it is.
func TestEveryPictureOfASpot(t *testing.T) {
	joined := []string{"-f", "lavfi", "-i", "testsrc2=size=320x240:rate=20:duration=2", "-f", "lavfi", "-i", "mandelbrot=size=320x240:rate=20:maxiter=80", "-filter_complex", "[1]trim=0:2[m];[0][m]concat"}
	x264 := []string{"-c:v", "libx264", "-preset", "superfast", "-threads", "1", "-sc_threshold", "0", "-pix_fmt", "yuv420p"}
	for name, args := range map[string][]string{"between.mp4": nil, "in_order.mp4": {"-bf", "0"}} {
		t.Run(name, func(t *testing.T) {
			raw := made(t, "spot_"+name, append(append(joined, x264...), args...)...)
			req := DefaultRequest()
			clip := decoded(t, file(t, "x.mp4", raw), req)
			req.Spots = 0
			plain := decoded(t, file(t, "x.mp4", raw), req)
			require.Empty(t, plain.Motion.Spots)
			require.Empty(t, plain.Motion.Between)
			require.Equal(t, plain.Motion.Frames, clip.Motion.Frames)

			require.NotEmpty(t, clip.Motion.Spots)
			require.LessOrEqual(t, len(clip.Motion.Spots), DefaultRequest().Spots)
			first := clip.Motion.Spots[0]
			require.Less(t, first.From, 2*time.Second)
			require.GreaterOrEqual(t, first.To, 2*time.Second)
			there := map[time.Duration]int{}
			for _, f := range append(clip.Motion.Frames, clip.Motion.Between...) {
				there[f.PTS]++
				require.Len(t, f.Gray, clip.Motion.W*clip.Motion.H)
			}
			for _, p := range clip.Packets {
				for _, s := range clip.Motion.Spots {
					if p.PTS >= s.From-151*time.Millisecond && p.PTS <= s.To+151*time.Millisecond {
						require.Equal(t, 1, there[p.PTS], "the picture at %v, once", p.PTS)
					}
				}
			}
		})
	}
	webm := made(t, "spot.webm", append(joined, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")...)
	require.Empty(t, decoded(t, file(t, "x.webm", webm), DefaultRequest()).Motion.Spots, "its packets say little")
}

func TestBurstsAreTheMotionTrackInColour(t *testing.T) {
	raw := made(t, "bursts.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=9", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
	req := DefaultRequest()
	req.BurstMaxSide = 160
	clip := decoded(t, file(t, "x.mp4", raw), req)
	require.Len(t, clip.Bursts, 3)
	gray := map[time.Duration][]byte{}
	for _, f := range clip.Motion.Frames {
		gray[f.PTS] = f.Gray
	}
	at := 0
	for k, b := range clip.Bursts {
		require.InDelta(t, 10, len(b.Frames), 2)
		require.InDelta(t, 1.5+3*float64(k), (b.Frames[0].PTS+b.Frames[len(b.Frames)-1].PTS).Seconds()/2, 0.15)
		for _, f := range b.Frames {
			require.Equal(t, at, f.Index)
			require.Equal(t, []int{160, 120}, []int{f.Image.Cols(), f.Image.Rows()})
			requireSameGray(t, gray[f.PTS], f.Image)
			at++
		}
	}
	req.Bursts = 0
	require.Empty(t, decoded(t, file(t, "x.mp4", raw), req).Bursts)
	req.Bursts, req.Motion = 3, false
	require.Empty(t, decoded(t, file(t, "x.mp4", raw), req).Bursts)
}

// requireSameGray wants a colour picture to show what a grey one of the same size shows.
func requireSameGray(t *testing.T, want []byte, colour gocv.Mat) {
	t.Helper()
	m, err := Gray(colour)
	require.NoError(t, err)
	defer m.Close()
	got := m.ToBytes()
	require.Len(t, got, len(want))
	sum := 0
	for i := range got {
		sum += max(int(got[i])-int(want[i]), int(want[i])-int(got[i]))
	}
	require.Less(t, float64(sum)/float64(len(got)), 12.0, "video range against full range, and two ways of scaling")
}

func TestBurstsKeepToTheMemory(t *testing.T) {
	d := newDecoder(t, nil)
	for _, r := range []Request{{Bursts: 1 << 20, BurstLength: time.Hour, BurstMaxSide: 1 << 20, MaxSide: 1 << 20}, {Bursts: 1, BurstLength: time.Hour, BurstMaxSide: 640}, {Bursts: -1, BurstLength: -1, BurstMaxSide: -1}} {
		req := d.request(&source{container: "mp4"}, r)
		req.Motion = true
		b := bounds(&source{container: "mp4"}, req)
		require.LessOrEqual(t, squares(b.Bursts, b.BurstSide), int64(burstBytes)*5/4)
		require.GreaterOrEqual(t, b.Bursts, 0)
	}
	req := d.request(&source{container: "mp4"}, DefaultRequest())
	require.Equal(t, []int64{3, 1000, 640}, []int64{int64(req.Bursts), req.BurstMS, int64(req.BurstMaxSide)})
}

func TestVariableFrameRate(t *testing.T) {
	// 30 a second at first, then every fourth picture only, then a pause of 1.5 s.
	raw := made(t, "vfr.mp4", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=6",
		"-vf", "select='lt(t,2)+between(t,2,3.5)*not(mod(n,4))+gt(t,5)'", "-vsync", "vfr", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
	clip := decoded(t, file(t, "vfr.mp4", raw), DefaultRequest())
	require.InDelta(t, 6, clip.Info.Duration.Seconds(), 0.2)
	last := time.Duration(0)
	for _, f := range clip.Motion.Frames {
		switch {
		case f.PTS < 2*time.Second:
			require.LessOrEqual(t, f.PTS-last, 110*time.Millisecond)
		case f.PTS < 3500*time.Millisecond:
			require.LessOrEqual(t, f.PTS-last, 140*time.Millisecond)
		}
		last = f.PTS
	}
	require.GreaterOrEqual(t, len(clip.Frames), 5)
	require.Greater(t, clip.Frames[len(clip.Frames)-1].PTS, 5*time.Second)
}

func TestLongClipKeepsToTheBudget(t *testing.T) {
	for name, gop := range map[string]string{"short": "25", "long": "5000"} {
		t.Run(name, func(t *testing.T) {
			raw := made(t, "minutes_"+name+".mp4", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=150", "-c:v", "libx264", "-preset", "ultrafast", "-g", gop, "-pix_fmt", "yuv420p")
			d := newDecoder(t, func(o *Options) { o.Limits.DecodedPixels = 160 * 120 * 600 })
			clip, err := d.Decode(context.Background(), file(t, "m.mp4", raw), DefaultRequest())
			require.NoError(t, err)
			defer clip.Close()
			requireMotion(t, clip)
			if name == "short" {
				require.Len(t, clip.Motion.Windows, 3)
				require.Zero(t, clip.Motion.Windows[0].From)
				require.InDelta(t, 75, clip.Motion.Windows[1].From.Seconds(), 6)
				require.InDelta(t, 150, clip.Motion.Windows[2].To.Seconds(), 0.2)
				require.InDelta(t, 60, len(clip.Frames), 2)
				for i, f := range clip.Frames[1:] {
					require.InDelta(t, 2.5, (f.PTS - clip.Frames[i].PTS).Seconds(), 1.6)
				}
			}
			require.NotEmpty(t, clip.Frames)
			require.LessOrEqual(t, len(clip.Frames), 60)
		})
	}
}

func TestSceneChange(t *testing.T) {
	raw := made(t, "cut.mp4", "-f", "lavfi", "-i", "color=c=0x202020:size=160x120:rate=25:duration=1.48", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1.52",
		"-filter_complex", "[0:v]noise=alls=20:allf=t[a];[a][1:v]concat=n=2:v=1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
	clip := decoded(t, file(t, "cut.mp4", raw), DefaultRequest())
	var cuts []time.Duration
	for _, f := range clip.Frames {
		if f.SceneChange {
			cuts = append(cuts, f.PTS)
		}
	}
	require.Len(t, cuts, 1)
	require.InDelta(t, 1.48, cuts[0].Seconds(), 0.13)
	// A hand-held camera is no scene change.
	raw = made(t, "pan.mp4", "-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25:duration=3", "-vf", "crop=320:240:'60+40*sin(t*6)':'60+40*cos(t*5)'", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
	for _, f := range decoded(t, file(t, "pan.mp4", raw), DefaultRequest()).Frames {
		require.False(t, f.SceneChange)
	}
}

func TestPixelsWithoutSquares(t *testing.T) {
	raw := made(t, "sar.mp4", "-f", "lavfi", "-i", "testsrc2=size=360x288:rate=10:duration=1", "-vf", "setsar=16/15", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
	clip := decoded(t, file(t, "sar.mp4", raw), DefaultRequest())
	require.Equal(t, []int{384, 288, 384, 288}, []int{clip.Info.Width, clip.Info.Height, clip.Frames[0].Image.Cols(), clip.Frames[0].Image.Rows()})
}

func TestRemuxingKeepsThePacketsHash(t *testing.T) {
	a := decoded(t, file(t, "a.mp4", clipMP4(t)), DefaultRequest())
	in := file(t, "in.mp4", clipMP4(t))
	raw := made(t, "remuxed.mov", "-i", string(in), "-c", "copy", "-metadata", "title=ot\x1b[31mher")
	b := decoded(t, file(t, "b.mov", raw), DefaultRequest())
	require.NotEqual(t, a.Info.SHA256, b.Info.SHA256)
	require.Equal(t, a.Info.PacketsSHA256, b.Info.PacketsSHA256)
	require.Equal(t, "ot[31mher", b.Info.Tags["title"])
	require.Equal(t, "mov", b.Info.Container)
}

func TestOnlyWhatIsAskedFor(t *testing.T) {
	req := DefaultRequest()
	req.Motion, req.MaxStills, req.MaxSide = false, 2, 64
	clip := decoded(t, file(t, "a.mp4", clipMP4(t)), req)
	require.Empty(t, clip.Motion.Frames)
	require.Empty(t, clip.Motion.Windows)
	require.Empty(t, clip.PCM)
	require.Len(t, clip.Frames, 2)
	require.Equal(t, 64, clip.Frames[0].Image.Cols())
}

func TestBareDecodesTheSame(t *testing.T) {
	d := newDecoder(t, nil)
	cost, err := d.Bare(context.Background(), file(t, "a.mp4", clipMP4(t)), DefaultRequest())
	require.NoError(t, err)
	require.Positive(t, cost)
	_, err = d.Bare(context.Background(), file(t, "a.mp4", nil), DefaultRequest())
	var refused *Refusal
	require.ErrorAs(t, err, &refused)
}

func BenchmarkDecode(b *testing.B) {
	raw := made(b, "bench.mp4", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=5", "-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p")
	m := file(b, "bench.mp4", raw)
	d := newDecoder(b, nil)
	var cpu, bare time.Duration
	for b.Loop() {
		clip, err := d.Decode(context.Background(), m, DefaultRequest())
		require.NoError(b, err)
		cpu += clip.Usage.CPU
		clip.Close()
		cost, err := d.Bare(context.Background(), m, DefaultRequest())
		require.NoError(b, err)
		bare += cost
	}
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "child-ms/op")
	b.ReportMetric(float64(bare.Milliseconds())/float64(b.N), "bare-ms/op")
	b.ReportMetric(float64(cpu)/float64(bare), "ratio")
}
