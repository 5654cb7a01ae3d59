package main

import "C" // so that heap_linux.c is built
