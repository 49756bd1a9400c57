package io.github.dl4jlora.conf;

import org.deeplearning4j.nn.conf.layers.Layer;

import java.util.List;

/**
 * Says what PyTorch calls the parameters of a network's layers, and which way round it has them. A layer's configuration that
 * implements this is asked about every layer of its network, its own included, so that one layer of a model can answer for the
 * stock layers beside it. Adapter files are then written and read with these names and shapes: for layers that were trained in
 * full, PEFT's {@code modules_to_save}, for biases that were trained, and for W of an adapted layer, as far as a start depends
 * on it.
 *
 * <p>Without an answer, DL4J's own layers have the names of PyTorch's modules of the same kind ({@code weight [nOut, nIn]} and
 * {@code bias} of a dense layer), and all others have DL4J's keys, for which PEFT has no module.
 *
 * <pre>{@code
 * class Projection extends DenseLayer implements TorchNames {
 *     public List<TorchParameter> torchParameters(String name, Layer layer) {
 *         return layer != this ? List.of() : List.of(
 *                 new TorchParameter(name, "W", "proj." + name + ".weight", new long[] {getNOut(), getNIn()}, true),
 *                 new TorchParameter(name, "b", "proj." + name + ".bias", new long[] {getNOut()}, false));
 *     }
 * }
 * }</pre>
 */
public interface TorchNames {

    /**
     * The parameters of a layer. Where PyTorch has one value under two names, such as a decoder that is tied to word
     * embeddings, the layer that computes with another layer's parameter names that parameter: {@link TorchParameter#layer}
     * tells which layer holds it.
     *
     * @param name  of the layer in the network
     * @param layer its configuration as DL4J has it, without any wrappers
     * @return all parameters of the layer, and those of other layers under the names that they have here; none for an unknown
     *         layer
     */
    List<TorchParameter> torchParameters(String name, Layer layer);
}
