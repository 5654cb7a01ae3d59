// Debian's own opencv_modules.hpp names every module of the full set; gocv includes what it names. We build against these alone.
#pragma once
#define HAVE_OPENCV_CORE
#define HAVE_OPENCV_IMGPROC
#define HAVE_OPENCV_IMGCODECS
#define HAVE_OPENCV_FEATURES2D
#define HAVE_OPENCV_FLANN
#define HAVE_OPENCV_CALIB3D
