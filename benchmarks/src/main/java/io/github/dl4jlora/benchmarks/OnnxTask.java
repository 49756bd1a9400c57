package io.github.dl4jlora.benchmarks;

/** A network of DL4J's model zoo whose forward pass is compared with ONNX Runtime's, by OnnxChild of the profile {@code onnx}. */
enum OnnxTask {

    LE_NET_1(Network.LE_NET, 1),
    LE_NET_16(Network.LE_NET, 16),
    VGG_16_1(Network.VGG_16, 1),
    VGG_16_8(Network.VGG_16, 8),
    RES_NET_50_1(Network.RES_NET_50, 1),
    RES_NET_50_8(Network.RES_NET_50, 8);

    /** Which of the zoo. */
    enum Network {
        LE_NET("LeNet, 28×28"),
        VGG_16("VGG16, 224×224"),
        RES_NET_50("ResNet50, 224×224");

        private final String title;

        Network(String title) {
            this.title = title;
        }
    }

    private final Network network;
    private final int batch;

    OnnxTask(Network network, int batch) {
        this.network = network;
        this.batch = batch;
    }

    Network network() {
        return network;
    }

    int batch() {
        return batch;
    }

    String title() {
        return network.title + ", batch " + batch;
    }
}
