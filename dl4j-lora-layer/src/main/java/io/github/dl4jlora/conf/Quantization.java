package io.github.dl4jlora.conf;

/**
 * How the frozen matrices of a base are kept in fewer bits. A matrix is cut into lines, each of which has scales of its own:
 * the weights of one output of a dense layer or convolution, the row of one word of an embedding. Biases, gains and all other
 * parameters that are not matrices stay as they are, and so do adapters, their gradients and their updater's state.
 */
public enum Quantization {

    /**
     * Eight bits: a line's values, divided by 1/127 of its largest magnitude and rounded to the nearest. A quarter of FLOAT's
     * bytes.
     */
    INT8,

    /**
     * Four bits: each value is one of the 16 values of NormalFloat times the largest magnitude of its block, 64 values of a
     * line; that magnitude is itself kept in eight bits. About an eighth of FLOAT's bytes. Dettmers et al. 2023, "QLoRA:
     * Efficient Finetuning of Quantized LLMs", arXiv:2305.14314, section 3 and appendix E.
     */
    NF4
}
