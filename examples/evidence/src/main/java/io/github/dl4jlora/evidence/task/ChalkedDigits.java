package io.github.dl4jlora.evidence.task;

import io.github.dl4jlora.examples.ConvolutionExample;
import io.github.dl4jlora.examples.Digits;
import org.deeplearning4j.nn.graph.ComputationGraph;

import java.util.List;
import java.util.Random;

/** The convolution example's task: a network that reads digits on paper learns to read them chalked on a dirty board. */
public final class ChalkedDigits extends Pictures {

    private static final int EPOCHS = 8;

    public ChalkedDigits() {
        super(Digits.PIXELS, Digits.CLASSES, EPOCHS);
    }

    @Override
    public String name() {
        return "convolution";
    }

    @Override
    public String measure() {
        return "digits on the board read right, %";
    }

    /** Without the pooling between them: a graph that was made of a list of layers names each by its place. */
    @Override
    public List<String> targets() {
        return List.of("[013]");
    }

    @Override
    public int epochs() {
        return EPOCHS;
    }

    @Override
    ComputationGraph network(long seed) {
        return ConvolutionExample.newNetwork(seed).toComputationGraph();
    }

    @Override
    Lesson before(long seed) {
        Digits.Split paper = paper(seed);
        return TurnedDigits.lesson(paper.train(), paper.test());
    }

    @Override
    Lesson then(long seed) {
        Digits.Split paper = paper(seed);
        Random random = new Random(seed);
        return TurnedDigits.lesson(paper.train().onBoard(random), paper.test().onBoard(random));
    }

    private static Digits.Split paper(long seed) {
        Digits.Split digits = Digits.load().split(TurnedDigits.TEST_SHARE, seed);
        return new Digits.Split(digits.train().onPaper(), digits.test().onPaper());
    }
}
