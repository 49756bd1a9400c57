/*
 *   LearningRateSweep    tries learning rates on copies of a network
 *     |- TrainingCopy      a copy with the updater's state, which leaves the network as it is
 *     `- LearningRates     what became of the loss at each, and which to take
 *   LoRAAdvice           what a finished training tells about its rate, its rank and its layers
 *     |- Advisor           the questions, with the limits that parted good runs from bad ones
 *     |- LossCourse        how the loss went
 *     `- RankUse           how much of its rank a layer's change uses
 */

/**
 * Helps to choose: a learning rate before a training ({@link io.github.dl4jlora.tune.LearningRateSweep}), a rank and layers
 * after one ({@link io.github.dl4jlora.tune.LoRAAdvice}).
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.tune;

import org.jspecify.annotations.NullMarked;
