package paint

import (
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font/opentype"
)

// Words of signs and posters, Chinese and English: kinds of shops and offers, no brands.
var (
	names = []string{
		"晨光便利店", "老街面馆", "阳光大药房", "美味早餐", "新时代书店", "百味餐厅", "鲜果园", "时尚女装", "金星眼镜", "手机维修", "便民超市", "幸福烘焙", "中国茶叶", "五金建材", "丽人美发", "川味火锅", "大众洗衣", "爱宠生活馆", "兰州拉面", "城南银行",
		"CORNER BAKERY", "City Pharmacy", "Old Town Books", "FRESH MARKET", "Style & Co", "OPTICS", "Daily Noodles", "FLOWERS", "Barber Shop", "PHONE REPAIR", "Golden Dragon", "SHOES", "Antiques", "Hardware", "Cafe Aurora", "BANK", "Toys & Games", "Jewellers", "Sports World", "THE WINE CELLAR",
	}
	lines = []string{
		"营业时间 8:00-22:00", "欢迎光临", "电话 010-5550 1234", "全场八折", "买一送一", "新品上市", "会员优惠", "早餐 午餐 晚餐", "外卖", "烟酒 饮料", "专业服务", "诚信经营",
		"OPEN 24 HOURS", "Since 1987", "Tel. 555 0142", "SALE 50%", "Buy one get one free", "New arrivals", "Fresh every day", "Breakfast Lunch Dinner", "Take away", "Best quality", "No. 12 Market Street", "Welcome",
	}
	titles = []string{
		"周年庆", "夏日特惠", "开业大吉", "限时抢购", "健康生活", "音乐节", "安全生产", "春季新品", "免费试吃", "城市马拉松", "电影之夜", "诚聘英才",
		"SUMMER SALE", "GRAND OPENING", "Jazz Night", "BIG DEAL", "Healthy Living", "CITY MARATHON", "FILM FESTIVAL", "SAFETY FIRST", "MENU", "NOW HIRING", "Certificate", "SPRING TOUR",
	}
	small = []string{
		"活动时间 12月1日至12月31日，数量有限，售完即止", "最终解释权归本店所有", "地址：人民路十八号一层", "凭本海报到店可享受会员价", "详情请咨询店内工作人员", "每位顾客限购两件",
		"Saturday 14 June, doors open at 19:00", "While stocks last. See staff for details.", "12 Market Street, ground floor", "Free entry for members and children", "Terms and conditions apply", "All proceeds go to the local school",
	}
	walls  = []color.RGBA{{150, 80, 60, 255}, {190, 170, 140, 255}, {120, 115, 110, 255}, {205, 200, 190, 255}, {95, 70, 60, 255}, {170, 150, 150, 255}, {225, 220, 210, 255}}
	strong = []color.RGBA{{200, 20, 30, 255}, {0, 90, 160, 255}, {10, 120, 60, 255}, {240, 180, 20, 255}, {30, 30, 35, 255}, {245, 245, 240, 255}, {120, 20, 80, 255}, {230, 100, 20, 255}, {60, 40, 25, 255}, {20, 140, 150, 255}}
)

// contrast gives a colour that can be read on another one.
func (c *canvas) contrast(on color.RGBA) color.RGBA {
	if int(on.R)*3+int(on.G)*6+int(on.B) > 1350 {
		return []color.RGBA{{20, 20, 25, 255}, {150, 10, 20, 255}, {10, 40, 110, 255}, {0, 80, 40, 255}}[c.r.IntN(4)]
	}
	return []color.RGBA{{255, 255, 255, 255}, {255, 240, 120, 255}, {250, 245, 225, 255}, {255, 215, 60, 255}}[c.r.IntN(4)]
}

func pick[T any](c *canvas, of []T) T { return of[c.r.IntN(len(of))] }

// font gives a font that has the letters of a text: the Latin ones come first in the list.
func (c *canvas) font(text string) *opentype.Font {
	for _, r := range text {
		if r > 0x2000 {
			return c.fonts[latin+c.r.IntN(len(c.fonts)-latin)]
		}
	}
	return pick(c, c.fonts)
}

// latin is how many of the fonts have Latin letters only.
const latin = 3

// line writes a text in a fitting font.
func (c *canvas) line(r image.Rectangle, text string, col color.RGBA, left bool) error {
	_, err := c.write(r, text, c.font(text), col, left)
	return err
}

// sign draws a shop's board: its name, often a second line, a mark beside it.
func (c *canvas) sign(r image.Rectangle) error {
	board := pick(c, strong)
	c.fill(r, board)
	if c.chance(0.3) {
		c.shade(r, mix(board, color.RGBA{255, 255, 255, 255}, 0.25), board)
	}
	ink := c.contrast(board)
	inner := box(r, 0.04, 0.1, 0.96, 0.9)
	if c.chance(0.4) && r.Dx() > 3*r.Dy() { // a mark
		m := image.Rect(inner.Min.X, inner.Min.Y, inner.Min.X+inner.Dy(), inner.Max.Y)
		c.disc(m, ink)
		if err := c.line(box(m, 0.2, 0.2, 0.8, 0.8), string([]rune(pick(c, names))[:1]), board, false); err != nil {
			return err
		}
		inner.Min.X = m.Max.X + inner.Dy()/4
	}
	if c.chance(0.45) {
		if err := c.line(box(inner, 0, 0.66, 1, 1), pick(c, lines), ink, false); err != nil {
			return err
		}
		inner = box(inner, 0, 0, 1, 0.64)
	}
	return c.line(inner, pick(c, names), ink, false)
}

func (c *canvas) disc(r image.Rectangle, col color.RGBA) {
	cx, cy, rad := float64(r.Min.X+r.Max.X)/2, float64(r.Min.Y+r.Max.Y)/2, float64(min(r.Dx(), r.Dy()))/2
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			dx, dy := float64(x)+0.5-cx, float64(y)+0.5-cy
			if dx*dx+dy*dy <= rad*rad {
				c.fill(image.Rect(x, y, x+1, y+1), col)
			}
		}
	}
}

// poster draws a full-page design: ground, picture, title, lines, small print.
func (c *canvas) poster(photos []image.Image) error {
	b := c.Bounds()
	ground := pick(c, strong)
	c.shade(b, mix(ground, color.RGBA{255, 255, 255, 255}, c.between(0, 0.4)), ground)
	ink := c.contrast(ground)
	top := c.between(0.04, 0.1)
	switch c.r.IntN(4) {
	case 0: // a picture behind everything
		c.photo(b, pick(c, photos))
		c.dim(b, 0.55)
		ink = color.RGBA{255, 255, 255, 255}
	case 1: // a picture in the middle
		c.photo(box(b, 0.08, 0.3, 0.92, 0.66), pick(c, photos))
	case 2: // several things offered
		for i := range 4 {
			x, y := 0.08+0.44*float64(i%2), 0.3+0.22*float64(i/2)
			c.photo(box(b, x, y, x+0.4, y+0.14), pick(c, photos))
			if err := c.line(box(b, x, y+0.15, x+0.4, y+0.2), pick(c, lines), ink, true); err != nil {
				return err
			}
		}
	}
	if err := c.line(box(b, 0.06, top, 0.94, top+c.between(0.12, 0.2)), pick(c, titles), ink, false); err != nil {
		return err
	}
	if c.chance(0.6) {
		m := box(b, 0.62, 0.5, 0.94, 0.5+0.32*float64(b.Dx())/float64(b.Dy()))
		c.disc(m, pick(c, strong[:4]))
		if err := c.line(box(m, 0.1, 0.25, 0.9, 0.75), pick(c, []string{"-30%", "¥9.9", "50%", "NEW", "$5", "特价", "免费"}), color.RGBA{255, 255, 255, 255}, false); err != nil {
			return err
		}
	}
	y := 0.72
	for range 2 + c.r.IntN(4) {
		h := c.between(0.025, 0.05)
		if err := c.line(box(b, 0.08, y, 0.92, y+h), pick(c, append(small, lines...)), ink, c.chance(0.3)); err != nil {
			return err
		}
		y += h + 0.012
	}
	return nil
}

// front draws the front of a building. A shop has a board and display windows with light behind them; a house has a door and windows.
func (c *canvas) front(shop bool, photos []image.Image) error {
	b := c.Bounds()
	street := c.between(0.82, 0.95)
	c.bricks(b, pick(c, walls), 6+c.r.IntN(12))
	ground := color.RGBA{uint8(90 + c.r.IntN(70)), uint8(90 + c.r.IntN(70)), uint8(90 + c.r.IntN(70)), 255}
	c.shade(box(b, 0, street, 1, 1), mix(ground, color.RGBA{0, 0, 0, 255}, 0.3), ground)
	if c.chance(0.35) { // sky over the roof
		c.shade(box(b, 0, 0, 1, c.between(0.05, 0.2)), color.RGBA{120, 170, 225, 255}, color.RGBA{210, 225, 240, 255})
	}
	frame := pick(c, []color.RGBA{{40, 40, 42, 255}, {240, 240, 238, 255}, {90, 60, 40, 255}, {120, 125, 130, 255}, {25, 70, 50, 255}})
	floor := c.between(0.3, 0.5) // top of the ground floor
	if c.chance(0.3) {
		floor = c.between(0.1, 0.25)
	}
	n := 2 + c.r.IntN(4)
	for i := range n { // windows above
		if floor < 0.28 {
			break
		}
		x := (float64(i) + 0.25) / float64(n)
		c.window(box(b, x, floor-0.24, x+0.5/float64(n), floor-0.06), frame, photos, 0.35, 2)
	}
	if !shop {
		for i := range n {
			x := (float64(i) + 0.25) / float64(n)
			if i == n/2 {
				c.fill(box(b, x, floor+0.1, x+0.5/float64(n), street), mix(frame, pick(c, strong), 0.4))
				continue
			}
			c.window(box(b, x, floor+0.08, x+0.5/float64(n), street-0.12), frame, photos, 0.4, 2)
		}
		return nil
	}
	board := c.between(0.1, 0.16)
	door := c.between(0.3, 0.6)
	c.window(box(b, 0.03, floor+board, door-0.02, street-0.03), frame, photos, c.between(0.6, 1.1), 1+c.r.IntN(3))
	c.window(box(b, door, floor+board, door+0.16, street), frame, photos, c.between(0.5, 0.9), 1)
	c.window(box(b, door+0.18, floor+board, 0.97, street-0.03), frame, photos, c.between(0.6, 1.1), 1+c.r.IntN(3))
	if c.chance(0.35) { // an awning
		a, w := box(b, 0, floor+board, 1, floor+board+0.07), pick(c, strong)
		for i := range 24 {
			if i%2 == 0 {
				c.fill(box(a, float64(i)/24, 0, float64(i+1)/24, 1), w)
			} else {
				c.fill(box(a, float64(i)/24, 0, float64(i+1)/24, 1), color.RGBA{240, 238, 230, 255})
			}
		}
	}
	c.board = box(b, c.between(0, 0.12), floor, c.between(0.85, 1), floor+board)
	if err := c.sign(c.board); err != nil {
		return err
	}
	for range c.r.IntN(3) { // notes in the window
		x, y := c.between(0.06, 0.8), c.between(floor+board+0.1, street-0.2)
		r := box(b, x, y, x+0.1, y+0.08)
		c.fill(r, pick(c, strong))
		if err := c.line(box(r, 0.1, 0.2, 0.9, 0.8), pick(c, lines), color.RGBA{255, 255, 255, 255}, false); err != nil {
			return err
		}
	}
	return nil
}

// closeUp is the part of a front around its board, as somebody photographs the sign of a shop: by day or, lit, by night.
func (c *canvas) closeUp() *canvas {
	if c.chance(0.25) {
		for _, r := range []image.Rectangle{
			{c.Rect.Min, image.Pt(c.Rect.Max.X, c.board.Min.Y)}, {image.Pt(c.Rect.Min.X, c.board.Max.Y), c.Rect.Max},
		} {
			c.dim(r, 0.25)
		}
	}
	h := float64(c.board.Dy())
	top, bottom := float64(c.board.Min.Y)-h*c.between(0.3, 2), float64(c.board.Max.Y)+h*c.between(0.3, 2.5)
	wide := min((bottom-top)*c.between(1.1, 2), float64(c.board.Dx())+h) // long boards are seen in part, as photos have their shape
	x1 := float64(c.board.Min.X) - h/2 + c.r.Float64()*(float64(c.board.Dx())+h-wide)
	x2 := x1 + wide
	part := image.Rect(int(x1), int(top), int(x2), int(bottom)).Intersect(c.Rect)
	out := newCanvas(part.Dx(), part.Dy(), c.r, c.fonts)
	draw.Draw(out, out.Rect, c.RGBA, part.Min, draw.Src)
	return out
}

// window shows what is behind glass: a photo, darkened, between bars.
func (c *canvas) window(r image.Rectangle, frame color.RGBA, photos []image.Image, light float64, bars int) {
	if r.Dx() < 6 || r.Dy() < 6 {
		return
	}
	c.photo(r, pick(c, photos))
	c.dim(r, light)
	w := max(2, r.Dx()/40)
	for i := 1; i <= bars; i++ {
		x := r.Min.X + r.Dx()*i/(bars+1)
		c.fill(image.Rect(x-w/2, r.Min.Y, x+w/2+1, r.Max.Y), frame)
	}
	c.frame(r, w, frame)
}
