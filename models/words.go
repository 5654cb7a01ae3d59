package models

// Task names what a model is for.
type Task string

// The tasks.
const (
	FaceDetect    Task = "face_detect"
	FaceLandmark  Task = "face_landmark"
	FaceEmbed     Task = "face_embed"
	Liveness      Task = "liveness"
	HeadPose      Task = "head_pose"
	EyeState      Task = "eye_state"
	TextDetect    Task = "text_detect"
	TextRecognize Task = "text_recognize"
	VoiceActivity Task = "voice_activity"
	Transcribe    Task = "transcribe" // no model of this task is built in
	ObjectDetect  Task = "object_detect"
	SceneEmbed    Task = "scene_embed"
	SceneHead     Task = "scene_head"
)

// Image is a byte view of a picture: H x W x C, row-major without padding, uint8 0..255; C = 3 is BGR, C = 1 is grey. The models only
// read it and do not keep it.
type Image struct {
	Pix     []byte
	W, H, C int
}

// Box is a detected rectangle in fractions of the input picture (0..1), with the detector's score (0..1).
type Box struct {
	X1, Y1, X2, Y2 float32
	Score          float32
}

// Point is a position in fractions of the input picture (0..1).
type Point struct{ X, Y float32 }

// Vector is an L2-normalised embedding together with the sha256 of the model that made it. Vectors of different models cannot be compared.
type Vector struct {
	Model string
	V     []float32
}

// Pose is the head's direction in degrees; 0, 0, 0 looks into the camera.
type Pose struct{ Yaw, Pitch, Roll float32 }

// ProbMap is a H x W map of probabilities (0..1), row-major. Pool is the model's own description of the whole picture: means, then standard
// deviations over one of its feature maps, if its manifest names one; nil otherwise.
type ProbMap struct {
	P    []float32
	W, H int
	Pool []float32
}

// Reading is one recognised line of text with the mean confidence (0..1) of its characters.
type Reading struct {
	Text       string
	Confidence float32
}
