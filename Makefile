# The habits. CMake does the work: see CMakePresets.json and tools/build.
.PHONY: all demo test bench asan tidy fmt clean

all:
	tools/setup
	tools/build release

demo:
	tools/demo

test:
	tools/test

bench:
	tools/setup
	tools/build release benches
	bench/run

asan:
	tools/test --preset asan

tidy:
	tools/setup tidy
	tools/tidy

fmt:
	tools/setup dev
	tools/check-format --fix

clean:
	rm -rf build bin
