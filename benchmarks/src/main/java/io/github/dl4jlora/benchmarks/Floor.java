package io.github.dl4jlora.benchmarks;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;

/**
 * The least that a LoRA step can cost on ND4J: per layer the products with W (one forward, one backward, none backward
 * for the first layer) and the slim ones with A and B, into buffers allocated once, then DL4J's loop on a network
 * without dense layers. No activations, no biases.
 */
final class Floor {

    private record Layer(INDArray w, INDArray a, INDArray b, INDArray u, INDArray z, INDArray v, INDArray dA, INDArray dB,
            INDArray dx) {
    }

    private final List<Layer> layers = new ArrayList<>();
    private final MultiLayerNetwork loop;
    private final DataSet loopBatch;
    private final INDArray input;

    Floor(Shape shape) {
        input = Networks.batch(shape).getFeatures();
        for (int i = 0; i < shape.layers(); i++) {
            int in = shape.widths().get(i);
            int out = shape.widths().get(i + 1);
            layers.add(new Layer(matrix('f', in, out), matrix('f', in, shape.rank()), matrix('f', shape.rank(), out),
                    matrix('c', shape.rows(), shape.rank()), matrix('c', shape.rows(), out),
                    matrix('c', shape.rows(), shape.rank()),
                    matrix('f', in, shape.rank()), matrix('f', shape.rank(), out), matrix('c', shape.rows(), in)));
        }
        loop = Networks.withoutDenseLayers(shape);
        loopBatch = new DataSet(Nd4j.randn(shape.rows(), shape.out()), Nd4j.randn(shape.rows(), shape.out()));
    }

    private static INDArray matrix(char order, long rows, long columns) {
        return Nd4j.randn(rows, columns).muli(0.01).dup(order);
    }

    void step() {
        INDArray x = input;
        for (Layer layer : layers) {
            Nd4j.gemm(x, layer.w, layer.z, false, false, 1, 0);
            Nd4j.gemm(x, layer.a, layer.u, false, false, 1, 0);
            Nd4j.gemm(layer.u, layer.b, layer.z, false, false, 1, 1);
            x = layer.z;
        }
        INDArray delta = x;
        for (int i = layers.size() - 1; i >= 0; i--) {
            Layer layer = layers.get(i);
            INDArray layerInput = i == 0 ? input : layers.get(i - 1).z;
            Nd4j.gemm(layer.u, delta, layer.dB, true, false, 1, 0);
            Nd4j.gemm(delta, layer.b, layer.v, false, true, 1, 0);
            Nd4j.gemm(layerInput, layer.v, layer.dA, true, false, 1, 0);
            if (i > 0) {
                Nd4j.gemm(delta, layer.w, layer.dx, false, true, 1, 0);
                Nd4j.gemm(layer.v, layer.a, layer.dx, false, true, 1, 1);
                delta = layer.dx;
            }
        }
        loop.fit(loopBatch);
    }
}
