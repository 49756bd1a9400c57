/**
 * A network that enlarges photographs learns to enlarge print.
 *
 * <pre>
 *   EnlargeExample          the command
 *     |        |
 *     |        v
 *     |     Teaching        three ways to teach the network, and what each took
 *     v
 *   Measure, Sheet          how well pictures are enlarged, in figures and to look at
 *     |
 *     v
 *   Enlarger                a network on a picture of any size
 *
 *   LayersModel &lt;- LayersFiles      the network, from TensorFlow.js's files
 *   Material    &lt;- Print, Photographs      what is learned from and tested on
 *   Picture                 colours, halving
 * </pre>
 */
package io.github.dl4jlora.examples.enlarge;
