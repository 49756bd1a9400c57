/**
 * LoRA for Deeplearning4j: what a user touches. Begin with {@link io.github.dl4jlora.LoRA#apply}, or declare a
 * {@link io.github.dl4jlora.layer.LoRADenseLayer} in a configuration.
 *
 * <pre>
 *               LoRA - LoRAMerge        apply (with data: LoRAStarts), merge, unload, disable, scale, save, load (LoRAFiles)
 *              /    \   - BaseSource    what to load where the values are in no file that the library knows
 *      LoRAConfig    LoRASummary        what is asked, what is told; Selection, Training, Standing, FromData: its parts
 *          |         LoRAMergeReport
 *          |
 *      LoRASettings - LoRAOptions       what an adapter is, one value; the methods that every builder of it has
 *          |
 *      LoRAInit  Scaling  LayerType     the words that any room may use
 *      BiasTraining  FrozenStorage
 *      TorchNames - TorchParameter      what PyTorch calls a network's parameters
 *
 *      LearningRateSweep                tries learning rates on copies of a network
 *              |
 *      LearningRates                    what became of the loss at each
 *
 *      Threads                          who computes on which thread: to be settled first
 *      Doctor - Diagnosis - StepProbe   what makes it slow here, and the remedy
 * </pre>
 *
 * <p>Adapters apart from networks are in {@code adapter}, layers to declare in {@code layer}, what may be computed with A and
 * B in {@code variant}. Nothing here computes. Everything below {@code internal} is no API and may change without notice.
 *
 * @serial exclude
 */
package io.github.dl4jlora;
