/**
 * Helps to choose: a learning rate before a training, a rank after one.
 *
 * <pre>
 *   LearningRateSweep    tries learning rates on copies of a network
 *     `- LearningRates     what became of the loss at each, and which to take
 * </pre>
 *
 * @serial exclude
 */
package io.github.dl4jlora.tune;
