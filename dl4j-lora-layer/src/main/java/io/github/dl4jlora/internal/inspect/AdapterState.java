package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.run.Switches;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.io.OutputStream;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;

/** Tells whether adapters have changed since the last look, for what is kept of what a network computed. */
public final class AdapterState {

    private AdapterState() {
    }

    /**
     * A number that is another one after the adapters of a network, or its layers that train in full, were replaced, trained,
     * scaled, disabled or enabled. Of a network without adapters it counts iterations of training alone: to look at all weights
     * takes as long as to use them. So it does not look at frozen weights either, in the network's vector or outside of it.
     */
    public static long of(Model model) {
        Network<?> network = Networks.of(model);
        CRC32C values = new CRC32C();
        long state = 0;
        boolean adapted = false;
        for (Node node : network.nodes()) {
            AdaptedRuntime running = network.adaptedRuntime(node);
            if (running != null) {
                adapted = true;
                state = 31 * state + of(running.adapter(), values);
            }
        }
        if (adapted) {
            network.nodes().stream().filter(node -> node.adapted() == null && !node.isFrozen()).map(network::values)
                    .forEach(trained -> add(trained, values));
        }
        return (31 * state + iterations(model)) ^ values.getValue() << 32;
    }

    private static long of(Adapter adapter, CRC32C values) {
        Switches switches = adapter.switches();
        AdaptedConfiguration lora = adapter.configuration();
        long state = Boolean.hashCode(switches.isDisabled());
        for (AdaptedParameter parameter : lora.adapted()) {
            state = 31 * state + Double.hashCode(parameter.factor() * switches.scale(parameter.key()));
            adapter.parts(parameter.key()).values().forEach(part -> add(part, values));
        }
        lora.biases().forEach(bias -> add(adapter.value(bias.key()), values));
        return state;
    }

    private static long iterations(Model model) {
        return model instanceof ComputationGraph graph ? graph.getIterationCount()
                : ((MultiLayerNetwork) model).getIterationCount();
    }

    private static void add(@Nullable INDArray params, CRC32C values) {
        if (params == null || params.length() == 0) {
            return;
        }
        try (CheckedOutputStream out = new CheckedOutputStream(OutputStream.nullOutputStream(), values)) {
            RawValues.write(params.reshape(params.ordering(), false, params.length()), out);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
