package attack

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
)

// transform is one thing that a cheat does.
type transform struct {
	name, severity string
	photo, video   bool
	combines       bool // may be one of three in a combination
	needsHost      bool
	apply          func(*graph)
}

// tag names the transform with its severity.
func (t transform) tag() string { return t.name + t.severity }

// transforms is the whole list, in the order of the tables. Severities of crop, corner, letterbox and blurpad are percent per side, of
// overlays percent of the area, of pip percent of the side.
func transforms() []transform {
	space := func(name, severity string, combines bool, apply func(*graph)) transform {
		return transform{name: name, severity: severity, photo: true, video: true, combines: combines, apply: apply}
	}
	film := func(name, severity string, host bool, apply func(*graph)) transform {
		return transform{name: name, severity: severity, video: true, needsHost: host, apply: apply}
	}
	still := func(name, severity string, quality int) transform {
		return transform{name: name, severity: severity, photo: true, apply: func(g *graph) { g.quality = quality }}
	}
	list := []transform{
		film("remux", "", false, nil), // the coded packets as they are, in another container
		film("reencode", "26", false, func(g *graph) { g.crf = 26 }),
		film("reencode", "40", false, func(g *graph) { g.crf = 40 }),
		still("jpeg", "85", 85), still("jpeg", "30", 30), still("jpeg", "10", 10),
		space("bright", "20", true, func(g *graph) { g.do("lutyuv=y='clip(val+%g,16,235)'", g.sign()*44) }),
		space("gamma", "", true, func(g *graph) {
			g.do("lutrgb=r='gammaval(%[1]g)':g='gammaval(%[1]g)':b='gammaval(%[1]g)'", []float64{0.6, 1.7}[g.r.IntN(2)])
		}),
		// ffmpeg's strength is 1.73 standard deviations.
		space("noise", "25", true, func(g *graph) { g.do("format=gbrp,noise=alls=43:allf=t:all_seed=%d", g.r.IntN(1<<30)) }),
		space("blur", "4", false, func(g *graph) { g.do("gblur=sigma=%g", 4*float64(max(g.w, g.h))/512) }),
		space("scale", "25", true, func(g *graph) {
			g.w, g.h = even(float64(g.w)/4), even(float64(g.h)/4)
			g.do("scale=%d:%d:flags=area", g.w, g.h)
		}),
		film("fps", "10", false, func(g *graph) {
			g.do("fps=10")
			g.fps = 10
		}),
		space("crop", "10", true, crop(0.1)), space("crop", "20", false, crop(0.2)),
		space("corner", "20", true, corner),
		space("letterbox", "20", true, func(g *graph) {
			h := even(float64(g.h) * 1.4)
			g.do("pad=%d:%d:0:%d", g.w, h, (h-g.h)/4*2)
			g.h = h
		}),
		space("blurpad", "30", true, blurpad),
		space("mirror", "", true, func(g *graph) { g.do("hflip") }),
		space("rot", "5", true, func(g *graph) { g.do("rotate=%g", g.sign()*5*math.Pi/180) }),
		space("rot", "90", true, func(g *graph) {
			g.do("transpose=%d", 1+g.r.IntN(2))
			g.w, g.h = g.h, g.w
		}),
		space("rot", "180", true, func(g *graph) { g.do("hflip,vflip") }),
		space("logo", "10", true, overlay(0.1, true)), space("sticker", "20", false, overlay(0.2, false)),
		space("clock", "", true, clock),
		space("recapture", "1", true, recapture(0)), space("recapture", "2", true, recapture(1)), space("recapture", "3", false, recapture(2)),
		film("piphost", "30", true, pip(0.3, true)), film("pip", "70", true, pip(0.7, false)), film("pip", "35", true, pip(0.35, false)),
		film("speed", "0.8", false, speed(0.8)), film("speed", "0.87", false, speed(0.87)), film("speed", "1.15", false, speed(1.15)), film("speed", "1.25", false, speed(1.25)),
		film("reverse", "", false, func(g *graph) {
			g.do("reverse")
			g.hear("areverse")
		}),
		film("trimhead", "50", false, func(g *graph) { g.cut(g.seconds*(0.5+0.04*g.r.Float64()), g.seconds) }),
		film("trimtail", "50", false, func(g *graph) {
			from := 0.1 + 0.4*g.r.Float64()
			g.cut(from, from+g.seconds/2)
		}),
		film("splice", "33", true, splice), film("insert", "33", true, insert),
		film("freeze", "", false, freeze),
	}
	return append(list, transform{name: combined, photo: true, video: true, apply: func(g *graph) { combine(g, list) }})
}

// combine applies three different transforms that may be combined.
func combine(g *graph, list []transform) {
	var may []transform
	for _, t := range list {
		if t.combines {
			may = append(may, t)
		}
	}
	for _, i := range g.r.Perm(len(may))[:3] {
		may[i].apply(g)
	}
	g.crf, g.quality = 30, 60
}

func crop(p float64) func(*graph) {
	return func(g *graph) {
		w, h := even(float64(g.w)*(1-2*p)), even(float64(g.h)*(1-2*p))
		g.do("crop=%d:%d", w, h)
		g.w, g.h = w, h
	}
}

// corner cuts a fifth off one side and the top or the bottom.
func corner(g *graph) {
	w, h := even(float64(g.w)*0.8), even(float64(g.h)*0.8)
	g.do("crop=%d:%d:%d:%d", w, h, g.r.IntN(2)*(g.w-w), g.r.IntN(2)*(g.h-h))
	g.w, g.h = w, h
}

// blurpad puts a darker, blurred copy of the picture to its left and right, as phone editors do.
func blurpad(g *graph) {
	w := even(float64(g.w) * 1.6)
	a, b := g.fork()
	ground := g.side(a, "scale=%d:%d,gblur=sigma=12,lutyuv=y='16+(val-16)*0.7'", w, g.h)
	g.join(ground, b, "overlay=%d:0", (w-g.w)/4*2)
	g.w = w
}

// overlay covers part of the picture: a logo in a corner, or a sticker anywhere.
func overlay(area float64, corner bool) func(*graph) {
	return func(g *graph) {
		n := min(even(math.Sqrt(area*float64(g.w*g.h))), g.w-2, g.h-2)
		m := sticker(g.r, n)
		x, y := g.r.IntN(g.w-n), g.r.IntN(g.h-n)
		if corner {
			m = logo(g.r, n)
			x, y = g.r.IntN(2)*(g.w-n), g.r.IntN(2)*(g.h-n)
		}
		g.join(g.at, g.picture(m), "overlay=%d:%d:shortest=1", x, y)
	}
}

// clock burns a date and a running time of day into the lower edge, as attendance cameras do.
func clock(g *graph) {
	at, day := g.r.IntN(80000), 1+g.r.IntN(28)
	size := max(1, g.w/140)
	frames := 1
	if g.seconds > 0 {
		frames = int(g.seconds) + 1
	}
	h := even(float64(9 * size))
	for i := range frames {
		m := image.NewNRGBA(image.Rect(0, 0, 20*4*size, h))
		draw.Draw(m, m.Bounds(), image.NewUniform(color.Black), image.Point{}, draw.Src)
		s := at + i
		write(m, 2*size, 2*size, size, fmt.Sprintf("2026-11-%02d %02d:%02d:%02d", day, s/3600, s/60%60, s%60), color.White)
		enable := ""
		if g.seconds > 0 {
			enable = fmt.Sprintf(":enable='between(t,%d,%g)'", i, float64(i)+0.9999)
		}
		g.join(g.at, g.picture(m), "overlay=0:%d:shortest=1%s", g.h-h, enable)
	}
}

// screens are how a second camera sees a screen: jitter of the corners, moire, glare, noise (standard deviation), bezel.
var screens = [3]struct{ jitter, moire, glare, noise, bezel float64 }{{0.03, 0.05, 0.25, 3, 0.04}, {0.07, 0.12, 0.5, 6, 0.08}, {0.12, 0.18, 0.7, 9, 0.14}}

// recapture simulates that a hand-held camera films the clip on a screen: dark rim, another brightness curve, perspective that shakes a
// little, what stands around the screen, blur, moire, a colour cast, a lamp's reflection, noise.
func recapture(level int) func(*graph) {
	return func(g *graph) {
		s, r := screens[level], g.r
		w, h := float64(g.w), float64(g.h)
		rim := even(0.03 * min(w, h))
		gamma := 0.75 + 0.6*r.Float64()
		ground := g.picture(clouds(r, g.w, g.h))
		g.do("lutrgb=r='12+235*pow(val/255,%[1]g)':g='12+235*pow(val/255,%[1]g)':b='12+235*pow(val/255,%[1]g)'", gamma)
		// The clear pixels at the edge are what perspective repeats outside of the screen.
		g.do("pad=iw+%d:ih+%d:%d:%d:color=0x0c0c0c,format=yuva444p,pad=iw+8:ih+8:4:4:color=black@0,scale=%d:%d", 2*rim, 2*rim, rim, rim, g.w, g.h)
		corners := [4][2]float64{{s.bezel, s.bezel}, {1 - s.bezel, s.bezel}, {s.bezel, 1 - s.bezel}, {1 - s.bezel, 1 - s.bezel}}
		px, py := r.Float64()*6.28, r.Float64()*6.28
		var where string
		for i, c := range corners {
			x := min(1.02, max(-0.02, c[0]+(r.Float64()-0.5)*2*s.jitter*0.6))
			y := min(1.02, max(-0.02, c[1]+(r.Float64()-0.5)*2*s.jitter*0.6))
			where += fmt.Sprintf("x%[1]d='%[2]g+%[3]g*sin(on*0.11+%[4]g)':y%[1]d='%[5]g+%[6]g*cos(on*0.13+%[7]g)':", i, x*w, 0.004*w, px, y*h, 0.004*h, py)
		}
		g.do("perspective=%ssense=destination:eval=frame", where)
		g.join(ground, g.at, "overlay=shortest=1:format=yuv444,gblur=sigma=0.9,format=gbrp")
		m, peak := moire(r, g.w, g.h, s.moire)
		g.join(g.at, g.side(g.picture(m), "format=gbrp"), "blend=all_mode=multiply:shortest=1")
		warm := (r.Float64() - 0.5) * 0.2
		cool := (r.Float64() - 0.5) * 0.2
		g.do("lutrgb=r='clip(val*%g,0,255)':g='clip(val*%g,0,255)':b='clip(val*%g,0,255)'", peak*(1+warm), peak, peak*(1+cool))
		g.join(g.at, g.side(g.picture(glare(r, g.w, g.h, s.glare)), "format=gbrp"), "blend=all_mode=addition:shortest=1")
		g.do("noise=alls=%d:allf=t:all_seed=%d", int(s.noise*1.73+0.5), r.IntN(1<<30))
		g.crf, g.quality = 30, 60
	}
}
