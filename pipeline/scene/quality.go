package scene

import (
	"fmt"

	"gocv.io/x/gocv"

	"onsite/pipeline"
)

// Why a reference has too few stable keypoints, so that whoever took the picture knows what to do. The order is that of the questions.
const (
	tooSmall    = 96    // pixels of the crop's longer side: less shows hardly any detail
	washedLevel = 250   // grey levels from which a pixel is washed out
	washedShare = 0.3   // of the crop
	blurredAt   = 0.006 // variance of the Laplacian over that of the picture, at referenceSide: TestQualityOfAReference has pictures of each side
	contrastAt  = 8.0   // grey levels of deviation below which a picture is plain rather than blurred
	twins       = 0.5   // share of keypoints that have a twin elsewhere in the same picture
	// twinDistance is the distance of two RootSIFT descriptors (0..1.41) up to which they show the same: half of right matches lie below.
	twinDistance = 0.3
)

// weakness says why a crop (BGR) with too few stable keypoints is no reference, and what to do.
func weakness(crop gocv.Mat, r *reference, element Element, name string) (*Problem, error) {
	p := &Problem{Field: "photo", Value: clip(name)}
	say := func(t Trouble, en, zh string, args ...any) (*Problem, error) {
		p.Trouble = t
		p.Text = pipeline.Text{
			EN: fmt.Sprintf("this %s crop ", element) + fmt.Sprintf(en, args...) + fmt.Sprintf(" (%d stable keypoints; %d are needed, from %d on it is good)", r.stable, stableKeypoints, goodKeypoints),
			ZH: fmt.Sprintf("该%s参考图", namesZH[element]) + fmt.Sprintf(zh, args...) + fmt.Sprintf("（稳定特征点 %d 个；至少需要 %d 个，%d 个以上为佳）", r.stable, stableKeypoints, goodKeypoints),
		}
		return p, nil
	}
	if long := max(crop.Cols(), crop.Rows()); long < tooSmall {
		return say(TooSmall, "has only %d x %d pixels; take the picture from nearer, or crop it from a larger photo", "只有 %d x %d 像素；请靠近拍摄，或从更大的照片中裁剪", crop.Cols(), crop.Rows())
	}
	washed, sharp, contrast, err := looks(crop)
	if err != nil {
		return nil, err
	}
	switch same := r.repeats(); {
	case washed >= washedShare:
		return say(Glare, "is washed out over %.0f %% of its area; take the picture without flash or glare", "有 %.0f%% 的面积过曝；请避免闪光和反光后重新拍摄", 100*washed)
	case contrast >= contrastAt && sharp < blurredAt:
		return say(Blurred, "is blurred; hold the camera still, let it focus, and take it again", "模糊；请拿稳相机、对焦后重新拍摄")
	case same >= twins:
		return say(Repeating, "repeats itself: %.0f %% of its details look like others in it; add what is around it, or choose a part that occurs once", "图案重复：%.0f%% 的细节与其他部分相似；请扩大裁剪范围，或选择只出现一次的部分", 100*same)
	}
	return say(LittleTexture, "has too little texture; take the picture from nearer, or crop a part with more detail", "的纹理太少；请靠近拍摄，或裁剪细节更多的部分")
}

// looks measures a crop: the share that is washed out, how sharp it is for its contrast, and its contrast in grey levels.
func looks(crop gocv.Mat) (washed, sharp, contrast float64, err error) {
	grey, _, err := greyAt(crop, referenceSide)
	if err != nil {
		return 0, 0, 0, err
	}
	defer grey.Close()
	pix := grey.ToBytes()
	n := 0
	for _, v := range pix {
		if v >= washedLevel {
			n++
		}
	}
	edges, mean, deviation := gocv.NewMat(), gocv.NewMat(), gocv.NewMat()
	defer edges.Close()
	defer mean.Close()
	defer deviation.Close()
	if err := gocv.MeanStdDev(grey, &mean, &deviation); err != nil {
		return 0, 0, 0, fmt.Errorf("measure a reference: %w", err)
	}
	contrast = deviation.GetDoubleAt(0, 0)
	if err := gocv.Laplacian(grey, &edges, gocv.MatTypeCV16S, 1, 1, 0, gocv.BorderDefault); err != nil {
		return 0, 0, 0, fmt.Errorf("measure the sharpness of a reference: %w", err)
	}
	if err := gocv.MeanStdDev(edges, &mean, &deviation); err != nil {
		return 0, 0, 0, fmt.Errorf("measure the sharpness of a reference: %w", err)
	}
	if d := deviation.GetDoubleAt(0, 0); contrast > 0 {
		sharp = d * d / (contrast * contrast)
	}
	return float64(n) / float64(max(1, len(pix))), sharp, contrast, nil
}

// repeats is the share of a reference's keypoints that have a twin in another place of it.
func (r *reference) repeats() float64 {
	k := &r.plain
	if len(k.at) < 8 {
		return 0
	}
	matcher := gocv.NewBFMatcher()
	defer matcher.Close()
	n, same := 0, 0
	for _, all := range matcher.KnnMatch(k.desc, k.desc, min(12, len(k.at))) {
		var far []float64 // distances to keypoints in other places, the nearest first
		for _, m := range all {
			a, b := k.at[m.QueryIdx], k.at[m.TrainIdx]
			if dx, dy := float64(a.X-b.X), float64(a.Y-b.Y); dx*dx+dy*dy > .0025*r.w*r.h {
				far = append(far, m.Distance)
			}
		}
		if len(far) == 0 {
			continue
		}
		if n++; far[0] < twinDistance {
			same++
		}
	}
	return float64(same) / float64(max(1, n))
}
