package attack

// cut keeps a stretch, in seconds.
func (g *graph) cut(from, to float64) {
	g.do("trim=%g:%g,setpts=PTS-STARTPTS", from, to)
	g.hear("atrim=%g:%g,asetpts=PTS-STARTPTS", from, to)
	g.seconds = to - from
}

// speed plays the clip faster (k > 1) or slower.
func speed(k float64) func(*graph) {
	return func(g *graph) {
		g.do("setpts=PTS/%g,fps=%g", k, g.fps)
		g.hear("atempo=%g", k)
		g.seconds /= k
	}
}

// freeze shows one frame for four seconds, without sound.
func freeze(g *graph) {
	at := g.seconds * (0.2 + 0.6*g.r.Float64())
	g.do("trim=start=%g,setpts=PTS-STARTPTS,select='eq(n,0)',tpad=stop_mode=clone:stop_duration=4,fps=%g", at, g.fps)
	g.sound, g.seconds = false, 4
}

// splice leaves a third of the clip between two stretches of another one; the sound is the third's alone.
func splice(g *graph) {
	third := g.seconds / 3
	before := third + 0.4*g.r.Float64()
	from := g.r.Float64() * (g.seconds - third)
	g.n++
	mine := g.side(g.at, "trim=%g:%g,setpts=PTS-STARTPTS,fps=%g,setsar=1,format=yuv420p", from, from+third, g.fps)
	host := g.other()
	a := g.side(host, "split")
	// split has two outputs; the second gets its own label.
	last := len(g.chains) - 1
	g.chains[last] += "[" + a + "x]"
	first := g.side(a, "trim=0:%g,setpts=PTS-STARTPTS", before)
	second := g.side(a+"x", "trim=%g:%g,setpts=PTS-STARTPTS", before, before+third)
	g.chains = append(g.chains, "["+first+"]["+mine+"]["+second+"]concat=n=3[spliced]")
	g.at, g.seconds = "spliced", before+2*third
	g.hear("atrim=%g:%g,asetpts=PTS-STARTPTS,adelay=%d:all=1,apad=whole_dur=%g", from, from+third, int(before*1000), g.seconds)
}

// insert replaces the middle third by another clip; the sound there is silence.
func insert(g *graph) {
	a, b := g.seconds/3, g.seconds*2/3
	g.join(g.at, g.other(), "overlay=enable='between(t,%g,%g)':shortest=1", a, b)
	g.hear("volume=0:enable='between(t,%g,%g)'", a, b)
}

// pip shows the clip small in the window of another one, or (host) another one small in its own window.
func pip(share float64, host bool) func(*graph) {
	return func(g *graph) {
		w, h := even(float64(g.w)*share), even(float64(g.h)*share)
		x, y := int(g.r.Float64()*float64(g.w-w)), int(g.r.Float64()*float64(g.h-h))
		other := g.other()
		if host {
			g.join(g.at, g.side(other, "scale=%d:%d:flags=area", w, h), "overlay=%d:%d:shortest=1", x, y)
			return
		}
		mine := g.side(g.at, "scale=%d:%d:flags=area", w, h)
		g.join(other, mine, "overlay=%d:%d:shortest=1", x, y)
	}
}
