package io.github.dl4jlora.property;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;

/** What a network is fed with. */
enum Input {
    FLAT(Signal.FLAT, InputType.feedForward(Input.SIZE), Input.SIZE),
    SEQUENCE(Signal.SEQUENCE, InputType.recurrent(Input.SIZE, Input.STEPS), Input.SIZE, Input.STEPS),
    SEQUENCE_CHANNELS_LAST(Signal.SEQUENCE, InputType.recurrent(Input.SIZE, Input.STEPS, RNNFormat.NWC), Input.STEPS, Input.SIZE),
    IMAGE(Signal.IMAGE, InputType.convolutional(6, 5, Input.SIZE), Input.SIZE, 6, 5),
    IMAGE_CHANNELS_LAST(Signal.IMAGE, InputType.convolutional(6, 5, Input.SIZE, CNN2DFormat.NHWC), 6, 5, Input.SIZE),
    VOLUME(Signal.VOLUME, InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 4, 3, 4, Input.SIZE), Input.SIZE, 4, 3, 4),
    VOLUME_CHANNELS_LAST(Signal.VOLUME, InputType.convolutional3D(Convolution3D.DataFormat.NDHWC, 4, 3, 4, Input.SIZE), 4, 3, 4,
            Input.SIZE),
    /** Indexes; the first layer is an embedding. */
    WORD(Signal.FLAT, InputType.feedForward(Input.WORDS), 1),
    /** Indexes; the first layer is an embedding. */
    WORD_SEQUENCE(Signal.SEQUENCE, InputType.recurrent(Input.WORDS, Input.STEPS), Input.STEPS);

    /** Of the network's features, and of every hidden layer. */
    static final int SIZE = 3;
    static final int STEPS = 6;
    static final int WORDS = 7;

    final Signal signal;
    final InputType type;
    private final long[] example;

    Input(Signal signal, InputType type, long... example) {
        this.signal = signal;
        this.type = type;
        this.example = example;
    }

    boolean isWords() {
        return this == WORD || this == WORD_SEQUENCE;
    }

    INDArray features(DataType type, int examples, long seed) {
        long[] shape = new long[example.length + 1];
        shape[0] = examples;
        System.arraycopy(example, 0, shape, 1, example.length);
        if (!isWords()) {
            return Networks.random(type, seed, shape);
        }
        Random random = new Random(seed);
        INDArray words = Nd4j.create(type, shape);
        for (long i = 0; i < words.length(); i++) {
            words.putScalar(i, random.nextInt(WORDS));
        }
        return words;
    }
}
