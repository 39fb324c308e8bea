def errors_by_advice(train,test,tables,one): return "-"
