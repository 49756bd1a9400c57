package io.github.dl4jlora.conf;

/**
 * How the frozen matrices of a base are kept in fewer bits. A matrix is cut into lines: the weights of one output of a dense
 * layer or convolution, the row of one word of an embedding. In eight bits and four each line has scales of its own.
 * Biases, gains and all other parameters that are not matrices stay as they are, and so do adapters, their gradients and their
 * updater's state.
 */
public enum Quantization {

    /**
     * Sixteen bits, bfloat16: FLOAT's sign and exponent, and 7 bits of its fraction, rounded to the nearest, of two equally near
     * the even one. No value changes by more than 2<sup>-8</sup> of itself, unless it is below FLOAT's smallest normal number,
     * and none becomes infinite. Half of FLOAT's bytes.
     */
    BF16,

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
