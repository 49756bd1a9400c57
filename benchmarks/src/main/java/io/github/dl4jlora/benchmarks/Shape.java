package io.github.dl4jlora.benchmarks;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A chain of dense layers with ReLU and a mean-squared-error loss, trained on one fixed batch.
 *
 * @param name    for the report
 * @param rows    rows of the batch
 * @param widths  input width, then the width of each layer
 * @param rank    of every adapter
 * @param updater Adam or SGD
 */
record Shape(String name, int rows, List<Integer> widths, int rank, String updater) {

    static Shape square(int width, int layers, int rows, int rank, String updater) {
        String name = width + " wide" + (rows == 32 ? "" : ", batch " + rows) + (rank == 8 ? "" : ", rank " + rank)
                + (updater.equals("Adam") ? "" : ", " + updater);
        return new Shape(name, rows, IntStream.rangeClosed(0, layers).mapToObj(i -> width).toList(), rank, updater);
    }

    /** Three layers, batch 32, rank 8, Adam. */
    static Shape of(int width) {
        return square(width, 3, 32, 8, "Adam");
    }

    /** The rows of 16 sequences of 128 steps through a transformer's feed-forward block of width 384. */
    static Shape transformer() {
        return new Shape("transformer 384-1536-384", 16 * 128, List.of(384, 1536, 384), 8, "Adam");
    }

    static List<Shape> defaultGrid() {
        return List.of(of(256), of(1024), of(2048),
                transformer());
    }

    static List<Shape> fullGrid() {
        return List.of(of(256), of(1024), of(2048),
                of(4096), transformer(),
                square(1024, 3, 1, 8, "Adam"), square(1024, 3, 256, 8, "Adam"),
                square(1024, 3, 32, 4, "Adam"), square(1024, 3, 32, 64, "Adam"), square(1024, 3, 32, 8, "SGD"));
    }

    /** Whether it is measured under all settings, not only on one thread. */
    boolean isCompared() {
        return List.of(of(256), of(1024), of(2048)).contains(this);
    }

    int layers() {
        return widths.size() - 1;
    }

    int in() {
        return widths.get(0);
    }

    int out() {
        return widths.get(widths.size() - 1);
    }

    /** Weights and biases of the base. */
    long parameters() {
        long sum = 0;
        for (int i = 0; i < layers(); i++) {
            sum += (long) (widths.get(i) + 1) * widths.get(i + 1);
        }
        return sum;
    }

    /** One argument for a child process. */
    String encode() {
        return rows + ":" + widths.stream().map(String::valueOf).collect(Collectors.joining(",")) + ":" + rank + ":" + updater;
    }

    static Shape decode(String text) {
        String[] parts = text.split(":");
        List<Integer> widths = java.util.Arrays.stream(parts[1].split(",")).map(Integer::valueOf).toList();
        return new Shape(text, Integer.parseInt(parts[0]), widths, Integer.parseInt(parts[2]), parts[3]);
    }
}
