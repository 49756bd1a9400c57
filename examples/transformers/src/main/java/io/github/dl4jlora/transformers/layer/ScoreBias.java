package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

/** What is added to scaled scores before their softmax, block by block, such as a bias by relative position. */
interface ScoreBias {

    /**
     * Adds it.
     *
     * @param scores {@code [heads · rows, columns]}; row r of head h of the block is row {@code h · rows + r}
     */
    void add(ScoreBlock block, INDArray scores);

    /**
     * Sums up its gradient, after a forward pass and before the next one. Each score comes once.
     *
     * @param dScores dL/d(scores), {@code [heads · rows, columns]}, 0 for scores that were left out
     */
    void backward(ScoreBlock block, INDArray dScores);
}
