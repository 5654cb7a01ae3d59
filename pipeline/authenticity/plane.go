package authenticity

import "math"

// plane is one grey picture, w x h, row-major, 0..255 as float32.
type plane struct {
	w, h int
	p    []float32
}

func newPlane(w, h int) plane { return plane{w: w, h: h, p: make([]float32, w*h)} }

// smooth converts an 8-bit grey picture and blurs it with the binomial kernel [1 2 1]/4 twice in both directions (sigma 1 pixel): enough
// that bilinear interpolation between pixels is nearly exact, which registration by gradients needs.
func smooth(gray []byte, w, h int, tmp []float32) plane {
	out := newPlane(w, h)
	for i, v := range gray[:w*h] {
		out.p[i] = float32(v)
	}
	for range 2 {
		blur3(out.p, tmp, w, h)
	}
	return out
}

// blur3 applies [1 2 1]/4 along rows and columns in place; borders repeat. tmp holds at least w*h values.
func blur3(p, tmp []float32, w, h int) {
	for y := range h {
		row, dst := p[y*w:(y+1)*w], tmp[y*w:(y+1)*w]
		dst[0] = (3*row[0] + row[min(1, w-1)]) / 4
		for x := 1; x < w-1; x++ {
			dst[x] = (row[x-1] + 2*row[x] + row[x+1]) / 4
		}
		if w > 1 {
			dst[w-1] = (3*row[w-1] + row[w-2]) / 4
		}
	}
	for y := range h {
		up, mid, down := tmp[max(y-1, 0)*w:], tmp[y*w:(y+1)*w], tmp[min(y+1, h-1)*w:]
		dst := p[y*w : (y+1)*w]
		for x := range dst {
			dst[x] = (up[x] + 2*mid[x] + down[x]) / 4
		}
	}
}

// half halves both sides by averaging 2 x 2 pixels; an odd last row or column is dropped.
func half(a plane) plane {
	out := newPlane(a.w/2, a.h/2)
	for y := range out.h {
		r0, r1 := a.p[2*y*a.w:], a.p[(2*y+1)*a.w:]
		dst := out.p[y*out.w : (y+1)*out.w]
		for x := range dst {
			dst[x] = (r0[2*x] + r0[2*x+1] + r1[2*x] + r1[2*x+1]) / 4
		}
	}
	return out
}

// warp is a plane-to-plane map about the picture's centre, in units of half the long side: x' = (a0 x + a1 y + a2)/(1 + a6 x + a7 y),
// y' = (a3 x + a4 y + a5)/(1 + a6 x + a7 y); with gain and offset of the grey values: template = gain*image + offset.
type warp struct {
	a            [8]float64
	gain, offset float64
}

func identity() warp { return warp{a: [8]float64{0: 1, 4: 1}, gain: 1} }

// after is the warp that first does b and then w (grey values too).
func (w *warp) after(b *warp) warp {
	p, q := w.matrix(), b.matrix()
	var m [9]float64
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				m[3*i+j] += p[3*i+k] * q[3*k+j]
			}
		}
	}
	out := warp{gain: w.gain * b.gain, offset: b.offset + b.gain*w.offset}
	for i := range out.a {
		out.a[i] = m[i] / m[8]
	}
	return out
}

func (w *warp) matrix() [9]float64 {
	a := &w.a
	return [9]float64{a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], 1}
}

// frameOf gives the centre and the unit of the warp's coordinates for a picture.
func frameOf(w, h int) (cx, cy, unit float64) {
	return float64(w-1) / 2, float64(h-1) / 2, float64(max(w, h)) / 2
}

// register finds the warp of img that looks like tmpl by Gauss-Newton on grey values (Lucas-Kanade, Baker & Matthews 2004), starting at
// start. Cauchy weights keep a moving part from pulling the rest; soft is the difference in grey levels at which a pixel's weight halves.
// geo is 6 (affine) or 8 (homography), step the pixel stride.
func register(tmpl, img plane, start warp, geo, iterations, step int, soft float64) warp {
	w := start
	_, _, unit := frameOf(tmpl.w, tmpl.h)
	for range iterations {
		e := equations{n: geo + 2}
		if geo == 6 {
			e.affine(tmpl, img, &w, step, soft)
		} else {
			e.projective(tmpl, img, &w, step, soft)
		}
		delta, ok := solve(&e.m, &e.rhs, e.n)
		if !ok {
			return w
		}
		move := 0.0
		for i := range geo {
			w.a[i] += delta[i]
			move += math.Abs(delta[i])
		}
		w.gain += delta[geo]
		w.offset += delta[geo+1]
		if move*unit < 0.01 { // a hundredth of a pixel over the whole picture: converged
			break
		}
	}
	return w
}

// equations are the normal equations of one Gauss-Newton step: n unknowns, the upper triangle of the matrix and the right side.
type equations struct {
	n   int
	m   [10][10]float64
	rhs [10]float64
}

// projective adds up the equations of a homography, gain and offset.
func (e *equations) projective(tmpl, img plane, w *warp, step int, soft float64) {
	cx, cy, unit := frameOf(tmpl.w, tmpl.h)
	var j [10]float64
	for py := 1; py < tmpl.h-1; py += step {
		y := (float64(py) - cy) / unit
		for px := 1; px < tmpl.w-1; px += step {
			x := (float64(px) - cx) / unit
			d := 1 / (1 + w.a[6]*x + w.a[7]*y)
			u := (w.a[0]*x + w.a[1]*y + w.a[2]) * d
			v := (w.a[3]*x + w.a[4]*y + w.a[5]) * d
			val, gx, gy, ok := img.sample(u*unit+cx, v*unit+cy)
			if !ok {
				continue
			}
			gx *= w.gain * unit
			gy *= w.gain * unit
			r := float64(tmpl.p[py*tmpl.w+px]) - w.gain*val - w.offset
			wt := 1 / (1 + (r/soft)*(r/soft))
			k := -(gx*u + gy*v) * d
			j = [10]float64{gx * x * d, gx * y * d, gx * d, gy * x * d, gy * y * d, gy * d, k * x, k * y, val, 1}
			for r0, jr := range j {
				t := wt * jr
				sums := &e.m[r0]
				for c := r0; c < len(j); c++ {
					sums[c] += t * j[c]
				}
				e.rhs[r0] += t * r
			}
		}
	}
}

// affine adds up the equations of an affine map, gain and offset. Its derivatives are gradients times x, y or 1, and y is the same along a row, so
// that a pixel adds to 26 sums and not to 44; a row's sums go into the matrix at its end.
func (e *equations) affine(tmpl, img plane, w *warp, step int, soft float64) {
	cx, cy, unit := frameOf(tmpl.w, tmpl.h)
	scale := w.gain * unit
	for py := 1; py < tmpl.h-1; py += step {
		y := (float64(py) - cy) / unit
		// Sums of the products of p and q (the gradients across and down), v (the grey value), 1 and r (what is left), with powers of x.
		var pp, pq, qq [3]float64
		var pv, qv, p1, q1, pr, qr [2]float64
		var vv, v1, one, vr, r1 float64
		row := tmpl.p[py*tmpl.w : (py+1)*tmpl.w]
		for px := 1; px < tmpl.w-1; px += step {
			x := (float64(px) - cx) / unit
			v, p, q, ok := img.sample((w.a[0]*x+w.a[1]*y+w.a[2])*unit+cx, (w.a[3]*x+w.a[4]*y+w.a[5])*unit+cy)
			if !ok {
				continue
			}
			p, q = p*scale, q*scale
			r := float64(row[px]) - w.gain*v - w.offset
			t := 1 / (1 + (r/soft)*(r/soft))
			tp, tq, tv := t*p, t*q, t*v
			a, b, c := tp*p, tp*q, tq*q
			pp[0] += a
			pq[0] += b
			qq[0] += c
			a, b, c = a*x, b*x, c*x
			pp[1] += a
			pq[1] += b
			qq[1] += c
			pp[2] += a * x
			pq[2] += b * x
			qq[2] += c * x
			a, b = tp*v, tq*v
			pv[0] += a
			qv[0] += b
			pv[1] += a * x
			qv[1] += b * x
			p1[0] += tp
			q1[0] += tq
			p1[1] += tp * x
			q1[1] += tq * x
			a, b = tp*r, tq*r
			pr[0] += a
			qr[0] += b
			pr[1] += a * x
			qr[1] += b * x
			vv += tv * v
			v1 += tv
			one += t
			vr += tv * r
			r1 += t * r
		}
		for k, s := range [2][3]float64{pp, qq} {
			m := &e.m
			i := 3 * k
			m[i][i] += s[2]
			m[i][i+1] += s[1] * y
			m[i][i+2] += s[1]
			m[i+1][i+1] += s[0] * y * y
			m[i+1][i+2] += s[0] * y
			m[i+2][i+2] += s[0]
		}
		for i, s := range [3][3]float64{{pq[2], pq[1] * y, pq[1]}, {pq[1] * y, pq[0] * y * y, pq[0] * y}, {pq[1], pq[0] * y, pq[0]}} {
			for k := range s {
				e.m[i][3+k] += s[k]
			}
		}
		for k, s := range [2][3][2]float64{{pv, p1, pr}, {qv, q1, qr}} {
			for i, at := range [3]struct{ x, y float64 }{{1, 0}, {0, y}, {0, 1}} {
				e.m[3*k+i][6] += s[0][1]*at.x + s[0][0]*at.y
				e.m[3*k+i][7] += s[1][1]*at.x + s[1][0]*at.y
				e.rhs[3*k+i] += s[2][1]*at.x + s[2][0]*at.y
			}
		}
		e.m[6][6] += vv
		e.m[6][7] += v1
		e.m[7][7] += one
		e.rhs[6] += vr
		e.rhs[7] += r1
	}
}

// sample gives the value and the gradient (per pixel) at a position by bilinear interpolation; ok is false outside.
func (a plane) sample(x, y float64) (v, gx, gy float64, ok bool) {
	if x < 0 || y < 0 || x >= float64(a.w-1) || y >= float64(a.h-1) {
		return 0, 0, 0, false
	}
	ix, iy := int(x), int(y)
	fx, fy := x-float64(ix), y-float64(iy)
	i := iy*a.w + ix
	p00, p10 := float64(a.p[i]), float64(a.p[i+1])
	p01, p11 := float64(a.p[i+a.w]), float64(a.p[i+a.w+1])
	top, bottom := p00+(p10-p00)*fx, p01+(p11-p01)*fx
	return top + (bottom-top)*fy, (p10-p00)*(1-fy) + (p11-p01)*fy, bottom - top, true
}

// solve solves the symmetric n x n system whose upper triangle is in m, by Cholesky with a little damping.
func solve(m *[10][10]float64, rhs *[10]float64, n int) ([10]float64, bool) {
	var l [10][10]float64
	for i := range n {
		for j := 0; j <= i; j++ {
			s := m[j][i]
			if i == j {
				s = s*(1+1e-6) + 1e-9
			}
			for k := range j {
				s -= l[i][k] * l[j][k]
			}
			if i == j {
				if s <= 0 {
					return [10]float64{}, false
				}
				l[i][i] = math.Sqrt(s)
			} else {
				l[i][j] = s / l[j][j]
			}
		}
	}
	var x [10]float64
	for i := range n {
		s := rhs[i]
		for k := range i {
			s -= l[i][k] * x[k]
		}
		x[i] = s / l[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		s := x[i]
		for k := i + 1; k < n; k++ {
			s -= l[k][i] * x[k]
		}
		x[i] = s / l[i][i]
	}
	return x, true
}
