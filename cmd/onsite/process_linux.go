package main

import "C" // so that process_linux.c is built
