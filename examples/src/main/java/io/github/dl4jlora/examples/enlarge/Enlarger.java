package io.github.dl4jlora.examples.enlarge;

import org.deeplearning4j.nn.graph.ComputationGraph;

/** Enlarges a picture of any size with a network: twice as high, twice as wide. */
final class Enlarger {

    /** Pixels added at each border, and so the farthest that a network may see, since it takes everything outside for black. */
    private static final int BORDER = 8;
    private static final int FACTOR = 2;

    private Enlarger() {
    }

    static Picture enlarge(ComputationGraph network, Picture picture) {
        Picture framed = picture.part(-BORDER, -BORDER, picture.height() + 2 * BORDER, picture.width() + 2 * BORDER);
        return Picture.of(network.outputSingle(framed.array()))
                .part(FACTOR * BORDER, FACTOR * BORDER, FACTOR * picture.height(), FACTOR * picture.width());
    }
}
