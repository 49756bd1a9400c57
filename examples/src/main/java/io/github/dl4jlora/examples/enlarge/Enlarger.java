package io.github.dl4jlora.examples.enlarge;

import org.deeplearning4j.nn.graph.ComputationGraph;

/** Enlarges a picture of any size by a network: twice as high, twice as wide. */
final class Enlarger {

    /** A network takes what lies outside for black: so far it may see, and as many pixels are added at each border. */
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
